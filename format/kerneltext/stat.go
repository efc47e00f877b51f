package kerneltext

import (
	"bytes"
	"fmt"
)

// CPUModes names the columns of a cpu line of /proc/stat; the later ones came in 2.6.11
// (steal), 2.6.24 (guest) and 2.6.33 (guest_nice). guest and guest_nice are counted in
// user and nice already (kernel/sched/cputime.c, account_guest_time).
var CPUModes = [...]string{"user", "nice", "system", "idle", "iowait", "irq", "softirq", "steal", "guest", "guest_nice"}

// StatRow is one line of /proc/stat: a CPU's times or a single number. Name is valid until
// the function that got the row returns.
type StatRow struct {
	Name  []byte                // cpu (all), cpu3, ctxt, processes, procs_running, procs_blocked
	Modes int                   // how many modes a CPU's line has; 0 of the others
	Ticks [len(CPUModes)]uint64 // of a CPU, by index of CPUModes, in 1/USER_HZ s
	Value uint64                // of the others
}

// ParseStat reads /proc/stat (fs/proc/stat.c, show_stat, Linux 2.6.12 to 6.18). The
// lines intr and softirq are left to /proc/interrupts and /proc/softirqs, which say
// them by CPU. It calls row with each line and does not allocate.
func ParseStat(text []byte, row func(StatRow)) error {
	return Lines(text, func(_ int, line []byte) error {
		switch name, _ := word(line); string(name) {
		case "intr", "softirq", "btime":
			return nil
		}
		r, err := ParseStatLine(line)
		if err == nil {
			row(r)
		}
		return err
	})
}

// ParseStatLine reads one line of /proc/stat, for who needs only the first: on a host of
// some hundred CPUs the other lines are many.
func ParseStatLine(line []byte) (r StatRow, err error) {
	var rest []byte
	r.Name, rest = word(line)
	var buf [len(CPUModes)][]byte
	values := fields(buf[:0], rest)
	if len(values) == 0 {
		return r, fmt.Errorf("%q has no value", Clip(r.Name))
	}
	if !bytes.HasPrefix(r.Name, []byte("cpu")) {
		if err := counters(values, &r.Value); err != nil {
			return r, fmt.Errorf("%s: %w", Clip(r.Name), err)
		}
		return r, nil
	}
	r.Modes = min(len(values), len(r.Ticks)) // a later kernel may have more
	for i, value := range values[:r.Modes] {
		if r.Ticks[i], err = Counter(value); err != nil {
			return r, fmt.Errorf("%s column %d: %w", Clip(r.Name), i+1, err)
		}
	}
	return r, nil
}
