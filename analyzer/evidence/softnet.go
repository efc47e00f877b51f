package evidence

import (
	"bytes"
	"fmt"
	"strconv"
)

// softnetText is /proc/net/softnet_stat.
var softnetText = Text{
	Path: "proc/net/softnet_stat",
	Doc:  "packets that each CPU took from its backlog, dropped there, and how often it ran out of its budget",
	read: readSoftnet,
}

// SoftnetRow is one CPU of /proc/net/softnet_stat. All counters are 32 bit and wrap.
type SoftnetRow struct {
	CPU         int // the kernel's number, or the row's where the kernel prints none
	CPUKnown    bool
	Processed   uint32
	Dropped     uint32 // the backlog was full: net.core.netdev_max_backlog
	TimeSqueeze uint32 // net_rx_action ran out of budget or time with work left
	ReceivedRPS uint32 // woken by another CPU
	FlowLimit   uint32 // dropped by the flow limit
	Backlog     uint32 // packets waiting, a level
}

// ParseSoftnet reads /proc/net/softnet_stat: hexadecimal columns, a row for each CPU
// that is online (net/core/net-procfs.c, softnet_seq_show). 9 columns; the 10th
// (received_rps) came in 2.6.35, the 11th (flow_limit_count) in 3.11, the 12th and
// 13th (backlog length, CPU) in 5.10, the 14th and 15th (the backlog's two queues) in
// 6.4. Without the 13th, the CPU is unknown as soon as one is offline.
func ParseSoftnet(text []byte) ([]SoftnetRow, error) {
	var rows []SoftnetRow
	err := lines(text, func(_ int, line []byte) error {
		row, err := softnetRow(bytes.Fields(line))
		if err != nil {
			return err
		}
		if !row.CPUKnown {
			row.CPU = len(rows)
		}
		rows = append(rows, row)
		return nil
	})
	return rows, err
}

// softnetRow reads one CPU's columns; those that a kernel does not print are zero.
func softnetRow(fields [][]byte) (SoftnetRow, error) {
	const fewest, widest = 9, 32
	if len(fields) < fewest || len(fields) > widest {
		return SoftnetRow{}, fmt.Errorf("%d columns, want 9 to 15", len(fields))
	}
	var c [widest]uint32
	for i, f := range fields {
		v, err := strconv.ParseUint(string(f), 16, 32)
		if err != nil {
			return SoftnetRow{}, fmt.Errorf("column %d: %q is not a hexadecimal 32-bit number", i+1, clip(f))
		}
		c[i] = uint32(v)
	}
	return SoftnetRow{
		Processed: c[0], Dropped: c[1], TimeSqueeze: c[2],
		ReceivedRPS: c[9], FlowLimit: c[10], Backlog: c[11],
		CPU: int(c[12]), CPUKnown: len(fields) >= 13,
	}, nil
}

// readSoftnet gives softnet.cpu3.dropped and its like.
func readSoftnet(_ string, text []byte, r row) error {
	rows, err := ParseSoftnet(text)
	for _, s := range rows {
		cpu := "cpu" + strconv.Itoa(s.CPU)
		r.put(Counter32, "1", float64(s.Processed), "softnet", cpu, "processed")
		r.put(Counter32, "1", float64(s.Dropped), "softnet", cpu, "dropped")
		r.put(Counter32, "1", float64(s.TimeSqueeze), "softnet", cpu, "squeezed")
		r.put(Counter32, "1", float64(s.ReceivedRPS), "softnet", cpu, "received_rps")
		r.put(Counter32, "1", float64(s.FlowLimit), "softnet", cpu, "flow_limit")
		r.put(Gauge, "1", float64(s.Backlog), "softnet", cpu, "backlog")
	}
	return err
}
