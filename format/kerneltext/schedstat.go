package kerneltext

import (
	"bytes"
	"fmt"
	"strconv"
)

// SchedRow is one CPU of /proc/schedstat.
type SchedRow struct {
	CPU    int
	RunNs  uint64 // tasks ran
	WaitNs uint64 // tasks were runnable and waited
	Slices uint64 // times that a task was given the CPU
}

// ParseSchedstat reads the cpu lines of /proc/schedstat (kernel/sched/stats.c,
// show_schedstat, versions 15 to 17, Linux 2.6.30 to 6.18): nine numbers, the last three
// are run time, wait time and time slices. Lines of domains are left out.
func ParseSchedstat(text []byte) ([]SchedRow, error) {
	var rows []SchedRow
	err := Lines(text, func(_ int, line []byte) error {
		fields := bytes.Fields(line)
		digits, ok := bytes.CutPrefix(fields[0], []byte("cpu"))
		if !ok {
			return nil
		}
		cpu, err := strconv.ParseUint(string(digits), 10, 16)
		if err != nil || len(fields) < 10 {
			return fmt.Errorf("want cpu and nine numbers, not %q", Clip(line))
		}
		// The six before them count calls into the scheduler, and their meaning changed with
		// every version of the text.
		row := SchedRow{CPU: int(cpu)}
		if err := counters(fields[7:], &row.RunNs, &row.WaitNs, &row.Slices); err != nil {
			return err
		}
		rows = append(rows, row)
		return nil
	})
	return rows, err
}
