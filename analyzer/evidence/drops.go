package evidence

import "github.com/spikebox/spikebox/format/member"

// drops adds the drops as numbers over time, by reason: drop.NO_SOCKET. A second in
// which nothing was dropped has no line, and its numbers are zero.
func (c *Columns) drops(all []member.Drop) {
	for len(all) > 0 {
		n := 1
		for n < len(all) && all[n].Time == all[0].Time {
			n++
		}
		sums := map[string]uint64{}
		for _, d := range all[:n] {
			sums[d.Reason] += d.Count
		}
		if r, ok := c.row(member.DropsName, all[0].Time); ok {
			for reason, sum := range sums {
				r.put(Events, "1", float64(sum), "drop", reason)
			}
		}
		all = all[n:]
	}
}
