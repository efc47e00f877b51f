package column

import (
	"strconv"

	"github.com/spikebox/spikebox/format/kerneltext"
)

// schedstatText is /proc/schedstat.
var schedstatText = Text{
	Path: "proc/schedstat",
	Doc:  "how long tasks ran and waited on each CPU",
	read: readSchedstat,
}

// readSchedstat gives times in seconds, so that a rate is the share of a CPU: sched.cpu3.wait
// of 0.5/s means that one task waited half of the time.
func readSchedstat(_ string, text []byte, r Row) error {
	rows, err := kerneltext.ParseSchedstat(text)
	for _, s := range rows {
		cpu := "cpu" + strconv.Itoa(s.CPU)
		r.Put(Counter, "s", float64(s.RunNs)/1e9, "sched", cpu, "run")
		r.Put(Counter, "s", float64(s.WaitNs)/1e9, "sched", cpu, "wait")
		r.Put(Counter, "1", float64(s.Slices), "sched", cpu, "slices")
	}
	return err
}
