package kerneltext

import (
	"bytes"
	"fmt"
	"strconv"
)

// Loadavg is /proc/loadavg.
type Loadavg struct {
	Load1, Load5, Load15 float64
	Running, Tasks       float64
}

// ParseLoadavg reads "0.02 0.04 0.05 1/497 11947" (fs/proc/loadavg.c,
// loadavg_proc_show, Linux 2.6.12 to 6.18).
func ParseLoadavg(text []byte) (Loadavg, error) {
	var l Loadavg
	fields := bytes.Fields(text)
	if len(fields) < 4 {
		return l, fmt.Errorf("%d columns, want 5", len(fields))
	}
	running, tasks, _ := bytes.Cut(fields[3], []byte{'/'})
	for _, f := range []struct {
		from []byte
		to   *float64
	}{{fields[0], &l.Load1}, {fields[1], &l.Load5}, {fields[2], &l.Load15}, {running, &l.Running}, {tasks, &l.Tasks}} {
		v, err := strconv.ParseFloat(string(f.from), 64)
		if err != nil || v < 0 || v > 1e9 || v != v {
			return Loadavg{}, fmt.Errorf("%q is not a load", Clip(f.from))
		}
		*f.to = v
	}
	return l, nil
}
