package evidence

import (
	"bytes"
	"fmt"
)

// statText is /proc/stat.
var statText = Text{
	Path: "proc/stat",
	Doc:  "where each CPU spent its time, context switches, processes",
	read: readStat,
}

// cpuModes names the columns of a cpu line; the later ones came in 2.6.11 (steal),
// 2.6.24 (guest) and 2.6.33 (guest_nice).
var cpuModes = [...]string{"user", "nice", "system", "idle", "iowait", "irq", "softirq", "steal", "guest", "guest_nice"}

// StatRow is one line of /proc/stat that the analyzer uses: a CPU's times or a
// single number.
type StatRow struct {
	Name  string   // cpu (all), cpu3, ctxt, processes, procs_running, procs_blocked
	Ticks []uint64 // of a CPU, by index of cpuModes, in 1/USER_HZ s
	Value uint64   // of the others
}

// ParseStat reads /proc/stat (fs/proc/stat.c, show_stat, Linux 2.6.12 to 6.18). The
// lines intr and softirq are left to /proc/interrupts and /proc/softirqs, which say
// them by CPU.
func ParseStat(text []byte) ([]StatRow, error) {
	var rows []StatRow
	err := lines(text, func(_ int, line []byte) error {
		fields := bytes.Fields(line)
		row := StatRow{Name: string(fields[0])}
		if len(fields) < 2 {
			return fmt.Errorf("%q has no value", clip(fields[0]))
		}
		switch {
		case bytes.HasPrefix(fields[0], []byte("cpu")):
			n := min(len(fields)-1, len(cpuModes))
			row.Ticks = make([]uint64, n)
			for i := range row.Ticks {
				v, err := counter(fields[i+1])
				if err != nil {
					return fmt.Errorf("%s column %d: %w", clip(fields[0]), i+1, err)
				}
				row.Ticks[i] = v
			}
		case row.Name == "intr", row.Name == "softirq", row.Name == "btime":
			return nil
		default:
			if err := counters(fields[1:], &row.Value); err != nil {
				return fmt.Errorf("%s: %w", clip(fields[0]), err)
			}
		}
		rows = append(rows, row)
		return nil
	})
	return rows, err
}

// readStat gives stat.cpu3.softirq in ticks of 1/USER_HZ, which the manifest tells, and
// stat.ctxt and its like.
func readStat(_ string, text []byte, r row) error {
	rows, err := ParseStat(text)
	for _, s := range rows {
		for i, ticks := range s.Ticks {
			r.put(Counter, "ticks", float64(ticks), "stat", s.Name, cpuModes[i])
		}
		switch {
		case s.Ticks != nil:
		case s.Name == "procs_running" || s.Name == "procs_blocked":
			r.put(Gauge, "1", float64(s.Value), "stat", s.Name)
		default:
			r.put(Counter, "1", float64(s.Value), "stat", s.Name)
		}
	}
	return err
}
