package main

import (
	"cmp"
	"container/heap"
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"github.com/spikebox/spikebox/analyzer/flow"
)

// key is what flows can be sorted by: the largest value comes first.
type key struct {
	name, doc string
	value     func(*flow.Flow) int64
}

// sortKeys are the keys of --sort. Times of the oldest are the largest, negated.
var sortKeys = []*key{
	{"retransmits", "segments sent again", both(func(d *flow.Direction) uint32 { return d.Retransmits })},
	{"bytes", "payload", func(f *flow.Flow) int64 { return int64(f.C2S().Bytes + f.S2C().Bytes) }},
	{"packets", "packets", both(func(d *flow.Direction) uint32 { return d.Packets })},
	{"first", "first packet", func(f *flow.Flow) int64 { return -f.First }},
	{"last", "last packet", func(f *flow.Flow) int64 { return -f.Last }},
	{"duration", "first to last packet", func(f *flow.Flow) int64 { return f.Last - f.First }},
	{"rtt", "median round trip", func(f *flow.Flow) int64 {
		if ns := millis(f.C2S().RTT().P50 + f.S2C().RTT().P50); ns > 0 {
			return ns
		}
		return f.Handshake.RTT()
	}},
	{"rtt-p99", "99th percentile of round trips", func(f *flow.Flow) int64 {
		return millis(max(f.C2S().RTT().P99, f.S2C().RTT().P99))
	}},
	{"handshake", "round trip of the handshake", func(f *flow.Flow) int64 { return f.Handshake.RTT() }},
	{"think", "99th percentile of the server's think time", func(f *flow.Flow) int64 { return millis(f.Think().P99) }},
	{"syn", "SYNs sent again", func(f *flow.Flow) int64 { return int64(f.Handshake.SYNRetransmits) }},
	{"synack", "SYN-ACKs sent again", func(f *flow.Flow) int64 { return int64(f.Handshake.SYNACKRetransmits) }},
	{"timeouts", "segments sent again after a timeout", both(func(d *flow.Direction) uint32 { return d.RetransmitsTimeout })},
	{"spurious", "segments sent again needlessly", both(func(d *flow.Direction) uint32 { return d.RetransmitsSpurious })},
	{"never-captured", "sent again, the original was not captured", both(func(d *flow.Direction) uint32 { return d.NeverCaptured })},
	{"reordered", "late originals", both(func(d *flow.Direction) uint32 { return d.Reordered })},
	{"ambiguous", "sent again or late", both(func(d *flow.Direction) uint32 { return d.Ambiguous })},
	{"zero-windows", "closed receive windows", both(func(d *flow.Direction) uint32 { return d.ZeroWindows })},
}

// both adds up what both sides have of something.
func both(count func(*flow.Direction) uint32) func(*flow.Flow) int64 {
	return func(f *flow.Flow) int64 { return int64(count(f.C2S())) + int64(count(f.S2C())) }
}

// millis turns milliseconds into ns.
func millis(ms float64) int64 { return int64(ms * 1e6) }

// sortKey finds a key by its name; nil where there is none.
func sortKey(name string) *key {
	for _, k := range sortKeys {
		if k.name == name {
			return k
		}
	}
	return nil
}

// sortHelp lists the keys for the help page.
func sortHelp() string {
	var b strings.Builder
	b.WriteString("Keys of --sort:")
	for _, k := range sortKeys {
		fmt.Fprintf(&b, "\n  %-15s %s", k.name, k.doc)
	}
	return b.String()
}

// selection says which flows --peer and --port leave: of each flag, one value must match
// an end.
func (f *flowFlags) selection() func(*flow.Flow) bool {
	return func(fl *flow.Flow) bool {
		in := func(p netip.Prefix) bool {
			return p.Contains(fl.Client.Addr().Unmap()) || p.Contains(fl.Server.Addr().Unmap())
		}
		at := func(p uint) bool { return p == uint(fl.Client.Port()) || p == uint(fl.Server.Port()) }
		return (len(f.peers) == 0 || slices.ContainsFunc(f.peers, in)) &&
			(len(f.ports) == 0 || slices.ContainsFunc(f.ports, at))
	}
}

// ranking keeps what --sort and --top ask for; nil where rows are printed as they come.
func (f *flowFlags) ranking() *ranking {
	switch {
	case f.sort != "":
		return &ranking{by: sortKey(f.sort).value, most: f.top}
	case f.top > 0:
		return &ranking{by: sortKey("bytes").value, most: f.top}
	}
	return nil
}

// ranking keeps the flows with the largest values: a heap with the smallest on top once
// there are as many as it may hold.
type ranking struct {
	by   func(*flow.Flow) int64
	most int // 0: all
	rows []ranked
}

// ranked is a flow that is kept.
type ranked struct {
	value int64
	row   flow.Row
}

// before says whether a comes before b: by value, and of equal ones the older flow.
func (a *ranked) before(b *ranked) int {
	return cmp.Or(cmp.Compare(b.value, a.value), cmp.Compare(a.row.Flow, b.row.Flow))
}

// Len, Less, Swap, Push and Pop are those of heap.Interface, the last in order on top.
func (r *ranking) Len() int           { return len(r.rows) }
func (r *ranking) Less(i, j int) bool { return r.rows[i].before(&r.rows[j]) > 0 }
func (r *ranking) Swap(i, j int)      { r.rows[i], r.rows[j] = r.rows[j], r.rows[i] }
func (r *ranking) Push(x any)         { r.rows = append(r.rows, x.(ranked)) }
func (r *ranking) Pop() any {
	last := r.rows[len(r.rows)-1]
	r.rows = r.rows[:len(r.rows)-1]
	return last
}

// add keeps a flow that is among the first so far. Only then its row is made.
func (r *ranking) add(f *flow.Flow) {
	value := r.by(f)
	switch {
	case r.most == 0:
		r.rows = append(r.rows, ranked{value, f.Row()})
	case len(r.rows) < r.most:
		heap.Push(r, ranked{value, f.Row()})
	case value > r.rows[0].value || value == r.rows[0].value && f.Number() < r.rows[0].row.Flow:
		r.rows[0] = ranked{value, f.Row()}
		heap.Fix(r, 0)
	}
}

// sorted gives the flows in their order.
func (r *ranking) sorted() []*flow.Row {
	slices.SortFunc(r.rows, func(a, b ranked) int { return a.before(&b) })
	rows := make([]*flow.Row, len(r.rows))
	for i := range r.rows {
		rows[i] = &r.rows[i].row
	}
	return rows
}
