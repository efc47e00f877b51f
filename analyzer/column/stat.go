package column

import "github.com/spikebox/spikebox/format/kerneltext"

// statText is /proc/stat.
var statText = Text{
	Path: "proc/stat",
	Doc:  "where each CPU spent its time, context switches, processes",
	read: readStat,
}

// readStat gives stat.cpu3.softirq in ticks of 1/USER_HZ, which the manifest tells, and
// stat.ctxt and its like.
func readStat(_ string, text []byte, r Row) error {
	return kerneltext.ParseStat(text, func(s kerneltext.StatRow) {
		for i, ticks := range s.Ticks[:s.Modes] {
			r.Put(Counter, "ticks", float64(ticks), "stat", string(s.Name), kerneltext.CPUModes[i])
		}
		if s.Modes > 0 {
			return
		}
		kind := Counter
		switch string(s.Name) {
		case "procs_running", "procs_blocked":
			kind = Gauge
		}
		r.Put(kind, "1", float64(s.Value), "stat", string(s.Name))
	})
}
