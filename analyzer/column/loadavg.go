package column

import "github.com/spikebox/spikebox/format/kerneltext"

// loadavgText is /proc/loadavg.
var loadavgText = Text{
	Path: "proc/loadavg",
	Doc:  "load averages, and how many tasks can run",
	read: readLoadavg,
}

// readLoadavg gives loadavg.1m and its like.
func readLoadavg(_ string, text []byte, r Row) error {
	l, err := kerneltext.ParseLoadavg(text)
	if err != nil {
		return err
	}
	r.Put(Gauge, "1", l.Load1, "loadavg", "1m")
	r.Put(Gauge, "1", l.Load5, "loadavg", "5m")
	r.Put(Gauge, "1", l.Load15, "loadavg", "15m")
	r.Put(Gauge, "1", l.Running, "loadavg", "running")
	r.Put(Gauge, "1", l.Tasks, "loadavg", "tasks")
	return nil
}
