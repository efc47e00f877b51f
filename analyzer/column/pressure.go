package column

import (
	"path"

	"github.com/spikebox/spikebox/format/kerneltext"
)

// pressureText is /proc/pressure/{cpu,memory,io,irq}.
var pressureText = Text{
	Path: "proc/pressure/*",
	Doc:  "time in which tasks waited for CPU, memory or I/O",
	read: readPressure,
}

// readPressure gives the total in seconds, so that its rate is the share of time.
func readPressure(name string, text []byte, r Row) error {
	resource := path.Base(name)
	return kerneltext.ParsePressure(text, func(p kerneltext.PressureRow) {
		r.Put(Counter, "s", float64(p.TotalUs)/1e6, "psi", resource, p.Kind)
		r.Put(Gauge, "ratio", p.Avg10, "psi", resource, p.Kind, "avg10")
	})
}
