package listing

import (
	"cmp"
	"container/heap"
	"slices"

	"github.com/spikebox/spikebox/analyzer/flow"
)

// Key is what flows can be ranked by: the largest value comes first.
type Key struct {
	Name, Doc string
	column    string // of the table, that shows it
	value     func(*flow.Flow) int64
}

// Keys are all that flows can be ranked by. Times of the oldest are the largest, negated.
var Keys = []*Key{
	{"retransmits", "segments sent again", "RETR", both(func(d *flow.Direction) uint32 { return d.Retransmits })},
	{"bytes", "payload", "BYTES", func(f *flow.Flow) int64 { return int64(f.C2S().Bytes + f.S2C().Bytes) }},
	{"packets", "packets", "PACKETS", both(func(d *flow.Direction) uint32 { return d.Packets })},
	{"first", "first packet", "FIRST", func(f *flow.Flow) int64 { return -f.First }},
	{"last", "last packet", "LAST", func(f *flow.Flow) int64 { return -f.Last }},
	{"duration", "first to last packet", "LASTED", func(f *flow.Flow) int64 { return f.Last - f.First }},
	{"rtt", "median round trip", "RTT", func(f *flow.Flow) int64 {
		if ns := nanos(f.C2S().RTT().P50 + f.S2C().RTT().P50); ns > 0 {
			return ns
		}
		return f.Handshake.RTT()
	}},
	{"rtt-p99", "99th percentile of round trips", "P99", func(f *flow.Flow) int64 {
		return nanos(max(f.C2S().RTT().P99, f.S2C().RTT().P99))
	}},
	{"handshake", "round trip of the handshake", "SHAKE", func(f *flow.Flow) int64 { return f.Handshake.RTT() }},
	{"connect", "first SYN to the client's ACK", "CONN", func(f *flow.Flow) int64 { return f.Handshake.ConnectTime() }},
	{"think", "99th percentile of the server's think time", "THINK", func(f *flow.Flow) int64 { return nanos(f.Think().P99) }},
	{"syn", "SYNs sent again", "SYN", func(f *flow.Flow) int64 { return int64(f.Handshake.SYNRetransmits) }},
	{"synack", "SYN-ACKs sent again", "SACK", func(f *flow.Flow) int64 { return int64(f.Handshake.SYNACKRetransmits) }},
	{"timeouts", "segments sent again after a timeout", "TIMEO", both(func(d *flow.Direction) uint32 { return d.RetransmitsTimeout })},
	{"spurious", "segments sent again needlessly", "SPUR", both(func(d *flow.Direction) uint32 { return d.RetransmitsSpurious })},
	{"never-captured", "sent again, the original was not captured", "LOST", both(func(d *flow.Direction) uint32 { return d.NeverCaptured })},
	{"reordered", "late originals", "REORD", both(func(d *flow.Direction) uint32 { return d.Reordered })},
	{"ambiguous", "sent again or late", "AMBIG", both(func(d *flow.Direction) uint32 { return d.Ambiguous })},
	{"zero-windows", "closed receive windows", "ZEROWIN", both(func(d *flow.Direction) uint32 { return d.ZeroWindows })},
}

// both adds up what both sides have of something.
func both(count func(*flow.Direction) uint32) func(*flow.Flow) int64 {
	return func(f *flow.Flow) int64 { return int64(count(f.C2S())) + int64(count(f.S2C())) }
}

// nanos turns milliseconds into ns: keys are whole numbers, which sort alike everywhere.
func nanos(ms float64) int64 { return int64(ms * 1e6) }

// FindKey finds a key by its name; nil where there is none.
func FindKey(name string) *Key {
	for _, k := range Keys {
		if k.Name == name {
			return k
		}
	}
	return nil
}

// Ranking keeps the flows with the largest values of a key.
type Ranking struct {
	by   *Key
	most int
	rows ranks
	left int
}

// NewRanking ranks by a key and keeps at most most flows.
func NewRanking(by *Key, most int) *Ranking { return &Ranking{by: by, most: most} }

// ranked is a flow that is kept.
type ranked struct {
	value int64
	row   Row
}

// before says whether a comes before b: by value, and of equal ones the older flow.
func (a *ranked) before(b *ranked) int {
	return cmp.Or(cmp.Compare(b.value, a.value), cmp.Compare(a.row.Flow, b.row.Flow))
}

// ranks is a heap.Interface, the last in order on top: what the next better flow replaces.
type ranks []ranked

func (r ranks) Len() int           { return len(r) }
func (r ranks) Less(i, j int) bool { return r[i].before(&r[j]) > 0 }
func (r ranks) Swap(i, j int)      { r[i], r[j] = r[j], r[i] }
func (r *ranks) Push(x any)        { *r = append(*r, x.(ranked)) }
func (r *ranks) Pop() any {
	last := (*r)[len(*r)-1]
	*r = (*r)[:len(*r)-1]
	return last
}

// Add keeps a flow that is among the first so far. Only then its row is made, since most
// flows of a long capture are not.
func (r *Ranking) Add(f *flow.Flow) {
	value := r.by.value(f)
	if len(r.rows) == r.most {
		r.left++
	}
	switch {
	case len(r.rows) < r.most:
		heap.Push(&r.rows, ranked{value, MakeRow(f)})
	case value > r.rows[0].value || value == r.rows[0].value && f.Number() < r.rows[0].row.Flow:
		r.rows[0] = ranked{value, MakeRow(f)}
		heap.Fix(&r.rows, 0)
	}
}

// Left is how many flows are not kept.
func (r *Ranking) Left() int { return r.left }

// Sorted gives the flows in their order.
func (r *Ranking) Sorted() []*Row {
	slices.SortFunc(r.rows, func(a, b ranked) int { return a.before(&b) })
	rows := make([]*Row, len(r.rows))
	for i := range r.rows {
		rows[i] = &r.rows[i].row
	}
	return rows
}
