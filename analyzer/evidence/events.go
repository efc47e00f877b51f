package evidence

import (
	"github.com/spikebox/spikebox/analyzer/column"
	"github.com/spikebox/spikebox/format/member"
)

// addEvents adds the number of events of each kind in each second: event.drop.
func addEvents(c *column.Columns, all []member.Event) {
	const second = 1e9
	counts := map[string]float64{}
	for i := range all {
		counts[all[i].Kind]++
		at := all[i].Time / second
		if i+1 < len(all) && all[i+1].Time/second <= at {
			continue
		}
		if r, ok := c.Row(member.EventsName, (at+1)*second); ok {
			for kind, n := range counts {
				r.Put(column.Events, "1", n, "event", kind)
			}
		}
		clear(counts)
	}
}
