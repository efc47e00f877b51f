package evidence

import (
	"github.com/spikebox/spikebox/analyzer/column"
	"github.com/spikebox/spikebox/format/member"
)

// reading is the numbers of one thing at one moment. What is read twice, at the trigger and
// at the end, has two of them: the difference is what counts.
type reading struct {
	time    int64  // Unix ns
	name    string // qdisc.eth0.tbf.1:, ethtool.eth0
	numbers map[string]float64
}

// qdiscCounters are the numbers of a queue discipline that only grow; its others are
// levels (include/uapi/linux/gen_stats.h).
var qdiscCounters = map[string]bool{"bytes": true, "packets": true, "drops": true, "overlimits": true, "requeues": true}

// addQdiscs adds the queue disciplines' numbers.
func addQdiscs(c *column.Columns, all []member.Qdisc) {
	readings := make([]reading, len(all))
	for i := range all {
		q := &all[i]
		readings[i] = reading{time: q.Time, name: "qdisc." + q.Interface + "." + q.Kind + "." + q.Handle,
			numbers: map[string]float64{
				"bytes": float64(q.Bytes), "packets": float64(q.Packets), "drops": float64(q.Drops),
				"overlimits": float64(q.Overlimits), "requeues": float64(q.Requeues),
				"backlog": float64(q.Backlog), "qlen": float64(q.QLen),
			}}
	}
	addReadings(c, member.QdiscsName, readings, func(number string) bool { return qdiscCounters[number] })
}

// addDrivers adds the drivers' own counters. What a driver calls a statistic is taken for a
// count, as nearly all of them are.
func addDrivers(c *column.Columns, all []member.Statistics) {
	readings := make([]reading, len(all))
	for i := range all {
		d := &all[i]
		numbers := make(map[string]float64, len(d.Statistics))
		for name, v := range d.Statistics {
			numbers[name] = float64(v)
		}
		readings[i] = reading{time: d.Time, name: "ethtool." + d.Interface, numbers: numbers}
	}
	addReadings(c, member.StatisticsName, readings, func(string) bool { return true })
}

// addReadings adds readings as numbers over time; those of one moment stand together.
func addReadings(c *column.Columns, source string, all []reading, counts func(number string) bool) {
	for len(all) > 0 {
		n := 1
		for n < len(all) && all[n].time == all[0].time {
			n++
		}
		if r, ok := c.Row(source, all[0].time); ok {
			for _, one := range all[:n] {
				for number, v := range one.numbers {
					kind, unit := column.Gauge, "1"
					if counts(number) {
						kind = column.Counter
					}
					r.Sparse(kind, unit, v, one.name, number)
				}
			}
		}
		all = all[n:]
	}
}
