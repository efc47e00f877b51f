package column

import (
	"strconv"

	"github.com/spikebox/spikebox/format/kerneltext"
)

// softirqsText is /proc/softirqs.
var softirqsText = Text{
	Path: "proc/softirqs",
	Doc:  "how often each softirq vector ran on each CPU",
	read: readSoftirqs,
}

// readSoftirqs gives softirqs.NET_RX.cpu3 and its like: how often, not how long.
func readSoftirqs(_ string, text []byte, r Row) error {
	cpus, rows, err := kerneltext.ParseSoftirqs(text)
	for _, s := range rows {
		for i, v := range s.Counts {
			r.Put(Counter32, "1", float64(v), "softirqs", s.Name, "cpu"+strconv.Itoa(cpus[i]))
		}
	}
	return err
}
