package evidence

import (
	"cmp"
	"io"

	"github.com/spikebox/spikebox/analyzer/column"
	"github.com/spikebox/spikebox/format/member"
)

// mostNames bounds the names that are counted apart within one second: a kernel has some 120
// reasons for drops, and nine kinds of events. Those beyond are counted as otherName.
const (
	mostNames = 1000
	otherName = "other"
)

// tally counts by name within a second.
type tally map[string]float64

func (t tally) add(name string, n float64) {
	if _, known := t[name]; !known && len(t) >= mostNames {
		name = otherName
	}
	t[name] += n
}

// readDrops keeps the drops, and adds them as numbers over time, by reason: drop.NO_SOCKET.
func (e *Evidence) readDrops(_ string, r io.Reader) error {
	k := rows[member.Drop]{room: roomDrops}
	s := seconds[member.Drop]{e: e, source: member.DropsName, add: func(r column.Row, now []member.Drop) {
		sums := tally{}
		for i := range now {
			sums.add(now[i].Reason, float64(now[i].Count))
		}
		for reason, sum := range sums {
			r.Put(column.Events, "1", sum, "drop", reason)
		}
	}}
	err := member.EachDrop(r, func(d *member.Drop) {
		s.keep(d.Time, d, textSize(d.Reason, d.Place))
		k.keep(&e.Drops, d, textSize(d.Reason, d.Place))
	})
	return cmp.Or(k.cut(nil), s.end(err))
}
