package evidence

import (
	"github.com/spikebox/spikebox/analyzer/column"
	"github.com/spikebox/spikebox/format/member"
)

// addDrops adds the drops as numbers over time, by reason: drop.NO_SOCKET. A second in
// which nothing was dropped has no line, and its numbers are zero.
func addDrops(c *column.Columns, all []member.Drop) {
	for len(all) > 0 {
		n := 1
		for n < len(all) && all[n].Time == all[0].Time {
			n++
		}
		sums := map[string]uint64{}
		for _, d := range all[:n] {
			sums[d.Reason] += d.Count
		}
		if r, ok := c.Row(member.DropsName, all[0].Time); ok {
			for reason, sum := range sums {
				r.Put(column.Events, "1", float64(sum), "drop", reason)
			}
		}
		all = all[n:]
	}
}
