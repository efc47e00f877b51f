package evidence

import (
	"github.com/spikebox/spikebox/analyzer/column"
	"github.com/spikebox/spikebox/format/member"
)

// addDrops adds the drops as numbers over time, by reason: drop.NO_SOCKET.
func addDrops(e *Evidence) {
	begin := func(d *member.Drop) int64 { return d.Time }
	inSeconds(e, member.DropsName, e.Drops, begin, func(r column.Row, now []member.Drop) {
		sums := map[string]uint64{}
		for _, d := range now {
			sums[d.Reason] += d.Count
		}
		for reason, sum := range sums {
			r.Put(column.Events, "1", float64(sum), "drop", reason)
		}
	})
}
