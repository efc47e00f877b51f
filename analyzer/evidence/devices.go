package evidence

import (
	"encoding/json"
	"fmt"

	"github.com/spikebox/spikebox/analyzer/column"
	"github.com/spikebox/spikebox/format/kerneltext"
)

// What is read twice, at the trigger and at the end: the difference is what counts.
const (
	qdiscMember  = "static/qdisc.jsonl"
	driverMember = "static/ethtool/statistics.jsonl"
)

// Reading is the numbers of one thing at one moment.
type Reading struct {
	Time    int64  // Unix ns
	Name    string // qdisc.eth0.tbf.1:, ethtool.eth0
	Numbers map[string]float64
}

// qdiscCounters are the numbers of a queue discipline that only grow; its others are
// levels (include/uapi/linux/gen_stats.h).
var qdiscCounters = map[string]bool{"bytes": true, "packets": true, "drops": true, "overlimits": true, "requeues": true}

// ParseQdiscs reads static/qdisc.jsonl (SPEC.md, "static/qdisc.jsonl"). With an error it
// gives the lines before the broken one.
func ParseQdiscs(text []byte) (all []Reading, err error) {
	err = kerneltext.Lines(text, func(_ int, line []byte) error {
		var q struct {
			Time                    int64
			Interface, Kind, Handle string
			Bytes, Packets, Drops   float64
			Overlimits, Requeues    float64
			Backlog, Qlen           float64
		}
		if err := json.Unmarshal(line, &q); err != nil {
			return fmt.Errorf("not a queue discipline: %w", err)
		}
		all = append(all, Reading{Time: q.Time, Name: "qdisc." + q.Interface + "." + q.Kind + "." + q.Handle,
			Numbers: map[string]float64{
				"bytes": q.Bytes, "packets": q.Packets, "drops": q.Drops, "overlimits": q.Overlimits,
				"requeues": q.Requeues, "backlog": q.Backlog, "qlen": q.Qlen,
			}})
		return nil
	})
	return all, err
}

// ParseDriverStatistics reads static/ethtool/statistics.jsonl (SPEC.md, "static/ethtool/").
// With an error it gives the lines before the broken one.
func ParseDriverStatistics(text []byte) (all []Reading, err error) {
	err = kerneltext.Lines(text, func(_ int, line []byte) error {
		var d struct {
			Time       int64
			Interface  string
			Statistics map[string]float64
		}
		if err := json.Unmarshal(line, &d); err != nil {
			return fmt.Errorf("not a driver's statistics: %w", err)
		}
		all = append(all, Reading{Time: d.Time, Name: "ethtool." + d.Interface, Numbers: d.Statistics})
		return nil
	})
	return all, err
}

// addReadings adds readings as numbers over time; those of one moment stand together.
func addReadings(c *column.Columns, member string, all []Reading, counts func(number string) bool) {
	for len(all) > 0 {
		n := 1
		for n < len(all) && all[n].Time == all[0].Time {
			n++
		}
		if r, ok := c.Row(member, all[0].Time); ok {
			for _, reading := range all[:n] {
				for number, v := range reading.Numbers {
					kind, unit := column.Gauge, "1"
					if counts(number) {
						kind = column.Counter
					}
					r.Sparse(kind, unit, v, reading.Name, number)
				}
			}
		}
		all = all[n:]
	}
}
