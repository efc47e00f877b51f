package kerneltext

import (
	"fmt"
	"strconv"
)

// SoftnetRow is one CPU of /proc/net/softnet_stat. All counters are 32 bit and wrap.
type SoftnetRow struct {
	CPU         int // the kernel's number, or the row's where the kernel prints none
	CPUKnown    bool
	Processed   uint32
	Dropped     uint32 // the backlog was full: net.core.netdev_max_backlog
	TimeSqueeze uint32 // net_rx_action ran out of budget or time with work left: net.core.netdev_budget
	ReceivedRPS uint32 // woken by another CPU
	FlowLimit   uint32 // dropped by the flow limit
	Backlog     uint32 // packets waiting, a level
}

// ParseSoftnet reads /proc/net/softnet_stat: hexadecimal columns, a row for each CPU
// that is online (net/core/net-procfs.c, softnet_seq_show). 9 columns; the 10th
// (received_rps) came in 2.6.35, the 11th (flow_limit_count) in 3.11, the 12th and
// 13th (backlog length, CPU) in 5.10, the 14th and 15th (the backlog's two queues) in
// 6.4. Without the 13th, the CPU is unknown as soon as one is offline. It calls row with
// each CPU and does not allocate.
func ParseSoftnet(text []byte, row func(SoftnetRow)) error {
	n := 0
	return Lines(text, func(_ int, line []byte) error {
		r, err := softnetRow(line)
		if err != nil {
			return err
		}
		if !r.CPUKnown {
			r.CPU = n
		}
		n++
		row(r)
		return nil
	})
}

// softnetRow reads one CPU's columns; those that a kernel does not print are zero.
func softnetRow(line []byte) (SoftnetRow, error) {
	const fewest, widest = 9, 32 // columns are only ever appended: room for those of later kernels
	var buf [widest][]byte
	columns := fields(buf[:0], line)
	if len(columns) < fewest || len(columns) > widest {
		return SoftnetRow{}, fmt.Errorf("%d columns, want 9 to 15", len(columns))
	}
	var c [widest]uint32
	for i, f := range columns {
		v, err := strconv.ParseUint(string(f), 16, 32)
		if err != nil {
			return SoftnetRow{}, fmt.Errorf("column %d: %q is not a hexadecimal 32-bit number", i+1, Clip(f))
		}
		c[i] = uint32(v)
	}
	return SoftnetRow{
		Processed: c[0], Dropped: c[1], TimeSqueeze: c[2],
		ReceivedRPS: c[9], FlowLimit: c[10], Backlog: c[11],
		CPU: int(c[12]), CPUKnown: len(columns) >= 13,
	}, nil
}
