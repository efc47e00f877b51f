package listing

import (
	"bytes"
	"io"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/spikebox/spikebox/format/unit"
)

// column is one column of the table of flows.
type column struct {
	name  string
	width int // 0: the last one
	left  bool
	// which tables have it
	level int
	text  func(*Row) string
}

// The tables: for less than 80 columns, for those, for fullWidth, with all there is, and what is shown only where it is sorted by.
const (
	least = iota
	narrow
	full
	wide
	sorted
)

const (
	// narrowWidth is what the columns of the narrow table take, and fullWidth those of the full one, with one to sort by.
	narrowWidth = 79
	fullWidth   = 134
)

// columns are as wide as IPv4 needs; behind an IPv6 address a row is pushed to the right until blanks have made up for it.
var columns = []column{
	{"FLOW", 5, false, least, func(r *Row) string { return strconv.FormatUint(r.Flow, 10) }},
	{"FIRST", 12, true, full, func(r *Row) string { return r.First.Format("15:04:05.000") }},
	{"LAST", 12, true, sorted, func(r *Row) string { return r.Last.Format("15:04:05.000") }},
	{"LASTED", 6, false, sorted, func(r *Row) string { return unit.ShortDuration(r.Last.Sub(r.First)) }},
	{"CLIENT", 21, true, least, func(r *Row) string { return netip.AddrPortFrom(r.Client, r.ClientPort).String() }},
	{"SERVER", 21, true, least, func(r *Row) string { return netip.AddrPortFrom(r.Server, r.ServerPort).String() }},
	{"PACKETS", 7, false, full, func(r *Row) string { return strconv.FormatUint(uint64(r.C2S.Packets+r.S2C.Packets), 10) }},
	{"BYTES", 7, false, full, func(r *Row) string { return unit.ShortSize(int64(r.C2S.Bytes + r.S2C.Bytes)) }},
	{"CONN", 6, false, narrow, func(r *Row) string { return optionalTime(r.Connect) }},
	{"SHAKE", 6, false, sorted, func(r *Row) string { return optionalTime(r.HandshakeRTT) }},
	{"RTT", 6, false, narrow, func(r *Row) string { return known(medianRTT(r)) }},
	{"P99", 6, false, full, func(r *Row) string { return known(max(r.C2S.RTT.P99, r.S2C.RTT.P99)) }},
	{"SYN", 3, false, full, func(r *Row) string { return again(r.SYNRetransmits) }},
	{"SACK", 4, false, full, func(r *Row) string { return again(r.SYNACKRetransmits) }},
	{"RETR", 4, false, narrow, func(r *Row) string { return again(r.C2S.Retransmits + r.S2C.Retransmits) }},
	{"TIMEO", 5, false, sorted, func(r *Row) string { return again(r.C2S.RetransmitsTimeout + r.S2C.RetransmitsTimeout) }},
	{"SPUR", 4, false, sorted, func(r *Row) string { return again(r.C2S.RetransmitsSpurious + r.S2C.RetransmitsSpurious) }},
	{"LOST", 4, false, wide, func(r *Row) string { return again(r.C2S.NeverCaptured + r.S2C.NeverCaptured) }},
	{"REORD", 5, false, wide, func(r *Row) string { return again(r.C2S.Reordered + r.S2C.Reordered) }},
	{"AMBIG", 5, false, wide, func(r *Row) string { return again(r.C2S.Ambiguous + r.S2C.Ambiguous) }},
	{"ZEROWIN", 7, false, wide, func(r *Row) string { return again(r.C2S.ZeroWindows + r.S2C.ZeroWindows) }},
	{"THINK", 6, false, wide, func(r *Row) string { return known(r.S2C.Think.P99) }},
	{"END", 10, true, least, ending},
	{"FILTER", 0, true, wide, func(r *Row) string { return string(r.filter(nil)) }},
}

// Table prints the columns for which there is room in width, or all of them, whose rows
// are far longer than a terminal is wide; and always that of the key, if any, that rows are sorted by, in the
// place of as many others as it takes.
func Table(w io.Writer, all bool, width int, by *Key) Printer[Row] {
	level := least
	switch {
	case all:
		level = wide
	case width >= fullWidth:
		level = full
	case width >= narrowWidth:
		level = narrow
	}
	asked := ""
	if by != nil {
		asked = by.column
	}
	var shown []*column
	room := width
	for i := range columns {
		if c := &columns[i]; c.name == asked || c.level <= level {
			shown = append(shown, c)
			room -= c.width + 1
		}
	}
	added := slices.ContainsFunc(shown, func(c *column) bool { return c.name == asked && c.level > level })
	for _, name := range []string{"RTT", "CONN", "END", "FLOW"} {
		if i := slices.IndexFunc(shown, func(c *column) bool { return c.name == name }); i >= 0 && added && room < -1 { // no blank behind the last
			room += shown[i].width + 1
			shown = slices.Delete(shown, i, i+1)
		}
	}
	var line []byte
	return func(r *Row) error {
		line = line[:0]
		late := 0
		for _, c := range shown {
			text := c.name
			if r != nil {
				text = c.text(r)
			}
			line, late = c.pad(line, text, late)
		}
		line = append(bytes.TrimRight(line, " "), '\n')
		_, err := w.Write(line)
		return err
	}
}

// pad appends a cell and a blank. It counts runes, so that µ and · do not shift the columns
// behind them; fmt does the same, and took half of the time of tables of millions of rows. late is how far the
// line is beyond where the cell should begin, and after it, where it should end.
func (c *column) pad(line []byte, text string, late int) ([]byte, int) {
	room := c.width - utf8.RuneCountInString(text) - late
	blanks := max(0, room)
	if c.left {
		line = append(line, text...)
	}
	for range blanks {
		line = append(line, ' ')
	}
	if !c.left {
		line = append(line, text...)
	}
	return append(line, ' '), max(0, -room)
}

// optionalTime writes milliseconds that may not be known.
func optionalTime(ms *float64) string {
	if ms == nil {
		return "-"
	}
	return known(*ms)
}

// medianRTT is a flow's usual round trip in ms: what both sides' data took to the other
// side and back, added, as the handshake's is. Without samples it is the handshake's; 0
// is unknown.
func medianRTT(r *Row) float64 {
	if ms := r.C2S.RTT.P50 + r.S2C.RTT.P50; ms > 0 || r.HandshakeRTT == nil {
		return ms
	}
	return *r.HandshakeRTT
}

// ending shortens the names of how a flow ended to ten characters.
func ending(r *Row) string { return strings.Replace(r.End, "reset-by-", "rst-", 1) }

// known writes milliseconds, and a dash for none.
func known(ms float64) string {
	if ms <= 0 {
		return "-"
	}
	return unit.ShortDuration(time.Duration(ms * 1e6))
}

// again writes a count of repetitions, with a dot for none: what is wrong stands out.
func again(n uint32) string {
	if n == 0 {
		return "·"
	}
	return strconv.FormatUint(uint64(n), 10)
}
