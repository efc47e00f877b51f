package evidence

import (
	"io"

	"github.com/spikebox/spikebox/analyzer/column"
	"github.com/spikebox/spikebox/format/member"
)

// readEvents keeps the events, and adds the number of each kind in each second: event.drop.
func (e *Evidence) readEvents(_ string, r io.Reader) error {
	const second = 1e9
	k := rows[member.Event]{room: roomEvents}
	counts, at := tally{}, int64(0)
	put := func() {
		if len(counts) == 0 {
			return
		}
		if row, ok := e.Columns.Row(member.EventsName, (at+1)*second); ok {
			for kind, n := range counts {
				row.Put(column.Events, "1", n, "event", kind)
			}
		}
		clear(counts)
	}
	err := member.EachEvent(r, func(v *member.Event) {
		// CPUs tell slightly out of order: what is late counts in the second that is open.
		if v.Time/second > at || len(counts) == 0 {
			put()
			at = v.Time / second
		}
		counts.add(v.Kind, 1)
		k.keep(&e.Events, v, textSize(v.Kind, v.State, v.Reason, v.Place, v.Vector))
	})
	put()
	return k.cut(err)
}
