package evidence

import (
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

// readDrops keeps the drops, and adds them as numbers over time, by reason: drop.NO_SOCKET. A
// second in which nothing was dropped has no line, and its numbers are zero.
func (e *Evidence) readDrops(_ string, r io.Reader) error {
	k := rows[member.Drop]{room: roomDrops}
	sums, at := tally{}, int64(0)
	put := func() {
		if len(sums) == 0 {
			return
		}
		if row, ok := e.Columns.Row(member.DropsName, at); ok {
			for reason, sum := range sums {
				row.Put(column.Events, "1", sum, "drop", reason)
			}
		}
		clear(sums)
	}
	err := member.EachDrop(r, func(d *member.Drop) {
		if d.Time != at { // lines of one second stand together
			put()
			at = d.Time
		}
		sums.add(d.Reason, float64(d.Count))
		k.keep(&e.Drops, d, textSize(d.Reason, d.Place))
	})
	put()
	return k.cut(err)
}
