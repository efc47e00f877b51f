package main

import (
	"encoding/csv"
	"encoding/json"
	"fmt"
	"io"
	"net/netip"
	"strconv"
	"strings"
	"time"

	"github.com/spikebox/spikebox/analyzer/flow"
)

// jsonFlows prints an object a line, in the agreed form.
func jsonFlows(w io.Writer) printer[flow.Row] {
	enc := json.NewEncoder(w)
	enc.SetEscapeHTML(false)
	return func(r *flow.Row) error {
		if r == nil {
			return nil
		}
		return enc.Encode(r)
	}
}

// csvFlows prints two rows for each flow, one for each direction.
func csvFlows(w io.Writer) printer[flow.Row] {
	out := csv.NewWriter(w)
	return func(r *flow.Row) error {
		if r == nil {
			out.Write(flow.CSVHeader)
		} else {
			for _, row := range r.CSV() {
				out.Write(row)
			}
		}
		out.Flush()
		return out.Error()
	}
}

// column is one column of the table of flows.
type column struct {
	name  string
	width int // 0: the last one
	left  bool
	// which tables have it
	level int
	text  func(*flow.Row) string
}

// The tables: for 80 columns, for fullWidth, and with all there is.
const (
	narrow = iota
	full
	wide
)

// fullWidth is what the columns of the full table take.
const fullWidth = 118

// columns are as wide as IPv4 needs; an IPv6 address pushes its row to the right.
var columns = []column{
	{"FLOW", 5, false, narrow, func(r *flow.Row) string { return strconv.FormatUint(r.Flow, 10) }},
	{"FIRST", 12, true, full, func(r *flow.Row) string { return r.First.Format("15:04:05.000") }},
	{"CLIENT", 21, true, narrow, func(r *flow.Row) string { return netip.AddrPortFrom(r.Client, r.ClientPort).String() }},
	{"SERVER", 21, true, narrow, func(r *flow.Row) string { return netip.AddrPortFrom(r.Server, r.ServerPort).String() }},
	{"PACKETS", 7, false, full, func(r *flow.Row) string { return fmt.Sprint(r.C2S.Packets + r.S2C.Packets) }},
	{"BYTES", 7, false, narrow, func(r *flow.Row) string { return compact(r.C2S.Bytes + r.S2C.Bytes) }},
	{"RTT", 6, false, narrow, func(r *flow.Row) string { return known(medianRTT(r)) }},
	{"P99", 6, false, full, func(r *flow.Row) string { return known(max(r.C2S.RTT.P99, r.S2C.RTT.P99)) }},
	{"SYN", 3, false, full, func(r *flow.Row) string { return again(r.SYNRetransmits) }},
	{"SACK", 4, false, full, func(r *flow.Row) string { return again(r.SYNACKRetransmits) }},
	{"RETR", 4, false, narrow, func(r *flow.Row) string { return again(r.C2S.Retransmits + r.S2C.Retransmits) }},
	{"LOST", 4, false, wide, func(r *flow.Row) string { return again(r.C2S.NeverCaptured + r.S2C.NeverCaptured) }},
	{"REORD", 5, false, wide, func(r *flow.Row) string { return again(r.C2S.Reordered + r.S2C.Reordered) }},
	{"AMBIG", 5, false, wide, func(r *flow.Row) string { return again(r.C2S.Ambiguous + r.S2C.Ambiguous) }},
	{"ZEROWIN", 7, false, wide, func(r *flow.Row) string { return again(r.C2S.ZeroWindows + r.S2C.ZeroWindows) }},
	{"THINK", 6, false, wide, func(r *flow.Row) string { return known(r.S2C.Think.P99) }},
	{"END", 10, true, narrow, ending},
	{"FILTER", 0, true, wide, func(r *flow.Row) string { return r.Filter }},
}

// tableFlows prints the columns for which there is room.
func tableFlows(w io.Writer, all bool, width int) printer[flow.Row] {
	level := narrow
	switch {
	case all:
		level = wide
	case width >= fullWidth:
		level = full
	}
	var line strings.Builder
	return func(r *flow.Row) error {
		line.Reset()
		for _, c := range columns {
			if c.level > level {
				continue
			}
			text, width := c.name, c.width
			if r != nil {
				text = c.text(r)
			}
			if c.left {
				width = -width
			}
			fmt.Fprintf(&line, "%*s ", width, text)
		}
		_, err := fmt.Fprintln(w, strings.TrimRight(line.String(), " "))
		return err
	}
}

// medianRTT is a flow's usual round trip in ms: what both sides' data took to the other
// side and back, added, as the handshake's is. Without samples it is the handshake's; 0
// is unknown.
func medianRTT(r *flow.Row) float64 {
	if ms := r.C2S.RTT.P50 + r.S2C.RTT.P50; ms > 0 || r.HandshakeRTT == nil {
		return ms
	}
	return *r.HandshakeRTT
}

// ending shortens the names of how a flow ended to ten characters.
func ending(r *flow.Row) string { return strings.Replace(r.End, "reset-by-", "rst-", 1) }

// known writes milliseconds, and a dash for none.
func known(ms float64) string {
	if ms <= 0 {
		return "-"
	}
	return short(int64(ms * 1e6))
}

// again writes a count of repetitions, with a dot for none: what is wrong stands out.
func again(n uint32) string {
	if n == 0 {
		return "·"
	}
	return strconv.FormatUint(uint64(n), 10)
}

// compact writes bytes in at most seven characters.
func compact(n uint64) string {
	return strings.ReplaceAll(strings.TrimSuffix(size(int64(n)), "iB"), " ", "")
}

// short writes a duration in at most six characters: 250µs, 12.3ms, 1.02s, 17m4s.
func short(ns int64) string {
	switch {
	case ns < 999_500:
		return fmt.Sprintf("%dµs", (ns+500)/1e3)
	case ns < 999_500_000:
		return fmt.Sprintf("%.3gms", float64(ns)/1e6)
	case ns < 100e9:
		return fmt.Sprintf("%.3gs", float64(ns)/1e9)
	}
	return time.Duration(ns).Round(time.Second).String()
}
