package evidence

import (
	"bytes"
	"fmt"
	"strconv"

	"github.com/spikebox/spikebox/analyzer/column"
	"github.com/spikebox/spikebox/format/kerneltext"
)

const dropsMember = "drops.csv"

// Drop is one line of drops.csv (SPEC.md, "drops.csv"): how many packets one place in the
// kernel dropped for one reason, within about a second.
type Drop struct {
	Time   int64 // Unix ns
	Line   int
	Reason string // as enum skb_drop_reason of the running kernel names it: NO_SOCKET
	Place  string // tcp_v4_rcv+0x80
	Count  uint64
}

// ParseDrops reads drops.csv: a header, then "time,reason,place,count".
func ParseDrops(text []byte) ([]Drop, error) {
	var drops []Drop
	err := kerneltext.Lines(text, func(n int, line []byte) error {
		if n == 1 {
			return nil
		}
		fields := bytes.Split(line, []byte{','})
		if len(fields) != 4 {
			return fmt.Errorf("%d columns, want 4", len(fields))
		}
		at, err := strconv.ParseInt(string(fields[0]), 10, 64)
		if err != nil {
			return fmt.Errorf("time %q is not in Unix nanoseconds", kerneltext.Clip(fields[0]))
		}
		count, err := kerneltext.Counter(fields[3])
		if err != nil {
			return err
		}
		drops = append(drops, Drop{Time: at, Line: n, Reason: string(fields[1]), Place: string(fields[2]), Count: count})
		return nil
	})
	return drops, err
}

// addDrops adds the drops as numbers over time, by reason: drop.NO_SOCKET. A second in
// which nothing was dropped has no line, and its numbers are zero.
func addDrops(c *column.Columns, all []Drop) {
	for len(all) > 0 {
		n := 1
		for n < len(all) && all[n].Time == all[0].Time {
			n++
		}
		sums := map[string]uint64{}
		for _, d := range all[:n] {
			sums[d.Reason] += d.Count
		}
		if r, ok := c.Row(dropsMember, all[0].Time); ok {
			for reason, sum := range sums {
				r.Put(column.Events, "1", float64(sum), "drop", reason)
			}
		}
		all = all[n:]
	}
}
