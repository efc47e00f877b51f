package kerneltext

import (
	"bytes"
	"fmt"
	"strconv"
)

// Interrupt is one row of /proc/interrupts.
type Interrupt struct {
	Name   string   // 24, or a letter code: NMI, RES
	Counts []uint32 // by index of the header's CPUs; 32-bit counters that wrap
	Action string   // who asked for it: eth0-TxRx-0; of a letter code its description
}

// ParseInterrupts reads /proc/interrupts: a header of CPUs that are online, then rows of
// a name, a counter for each CPU, the controller and the devices (kernel/irq/proc.c,
// show_interrupts, Linux 2.6.12 to 6.18). A few rows (ERR, MIS) have one counter only.
// The last word of a row is taken for the device: controllers have names of one to three
// words, devices one.
func ParseInterrupts(text []byte) (cpus []int, rows []Interrupt, err error) {
	cpus, err = underCPUs(text, func(cpus []int, line []byte, fields [][]byte) error {
		name, first, ok := bytes.Cut(fields[0], []byte{':'})
		if !ok || len(name) == 0 {
			return fmt.Errorf("want a name and a colon, not %q", Clip(line))
		}
		// arm64 sets no blank behind the colon, so that a counter of ten digits sticks to it.
		if fields = fields[1:]; len(first) > 0 {
			fields = append([][]byte{first}, fields...)
		}
		counts, rest := leading(fields, len(cpus))
		if len(counts) != len(cpus) && (len(counts) != 1 || len(rest) > 0) {
			return fmt.Errorf("%s: %d counters for %d CPUs", Clip(name), len(counts), len(cpus))
		}
		rows = append(rows, Interrupt{Name: string(name), Counts: counts, Action: action(name, rest)})
		return nil
	})
	return cpus, rows, err
}

// leading reads at most n counters and gives what comes behind them.
func leading(fields [][]byte, n int) (counts []uint32, rest [][]byte) {
	for len(counts) < n && len(fields) > 0 {
		v, err := strconv.ParseUint(string(fields[0]), 10, 32)
		if err != nil {
			break
		}
		counts = append(counts, uint32(v))
		fields = fields[1:]
	}
	return counts, fields
}

// action is the device of a numbered interrupt, or what a letter code stands for.
func action(name []byte, rest [][]byte) string {
	if len(rest) == 0 {
		return ""
	}
	if name[0] >= '0' && name[0] <= '9' {
		return string(rest[len(rest)-1])
	}
	return string(bytes.Join(rest, []byte{' '}))
}
