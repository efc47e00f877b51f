package kerneltext

import (
	"bytes"
	"fmt"
	"strconv"
)

// CPUCounts is one row of a table whose columns are CPUs.
type CPUCounts struct {
	Name   string   // NET_RX
	Counts []uint32 // by index of the table's CPUs; 32-bit counters that wrap
}

// ParseSoftirqs reads /proc/softirqs: a header of CPUs, then a row for each vector
// (fs/proc/softirqs.c, show_softirqs, Linux 2.6.31 to 6.18). It gives the CPUs'
// numbers, which are those that are possible, not those that are online.
func ParseSoftirqs(text []byte) (cpus []int, rows []CPUCounts, err error) {
	cpus, err = underCPUs(text, func(cpus []int, line []byte, fields [][]byte) error {
		name, ok := bytes.CutSuffix(fields[0], []byte{':'})
		if !ok || len(fields)-1 != len(cpus) {
			return fmt.Errorf("want a vector and %d counters, not %q", len(cpus), Clip(line))
		}
		counts, err := counts32(fields[1:])
		if err != nil {
			return fmt.Errorf("%s: %w", Clip(name), err)
		}
		rows = append(rows, CPUCounts{Name: string(name), Counts: counts})
		return nil
	})
	return cpus, rows, err
}

// underCPUs reads a table whose first line names CPUs, and calls row with each line below
// it and its words.
func underCPUs(text []byte, row func(cpus []int, line []byte, fields [][]byte) error) (cpus []int, err error) {
	err = Lines(text, func(_ int, line []byte) (err error) {
		fields := bytes.Fields(line)
		if cpus == nil {
			cpus, err = cpuHeader(fields)
			return err
		}
		return row(cpus, line, fields)
	})
	return cpus, err
}

// cpuHeader reads "CPU0 CPU1 …".
func cpuHeader(fields [][]byte) ([]int, error) {
	cpus := make([]int, 0, len(fields))
	for _, f := range fields {
		number, ok := bytes.CutPrefix(f, []byte("CPU"))
		n, err := strconv.ParseUint(string(number), 10, 16)
		if !ok || err != nil {
			return nil, fmt.Errorf("%q is not a CPU", Clip(f))
		}
		cpus = append(cpus, int(n))
	}
	return cpus, nil
}

// counts32 reads 32-bit counters: kstat_softirqs_cpu is an unsigned int.
func counts32(fields [][]byte) ([]uint32, error) {
	counts := make([]uint32, len(fields))
	for i, f := range fields {
		v, err := strconv.ParseUint(string(f), 10, 32)
		if err != nil {
			return nil, fmt.Errorf("column %d: %q is not a 32-bit counter", i+1, Clip(f))
		}
		counts[i] = uint32(v)
	}
	return counts, nil
}
