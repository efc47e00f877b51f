package evidence

import (
	"strconv"
	"strings"

	"github.com/spikebox/spikebox/analyzer/column"
	"github.com/spikebox/spikebox/format/member"
)

// addLatencies adds the latencies as numbers over time: softirq.net_rx.max over all CPUs, and
// softirq.net_rx.cpu3.max of each. Lines of the same second make one reading.
func addLatencies(c *column.Columns, all []member.Latency) {
	for len(all) > 0 {
		n := 1
		for n < len(all) && all[n].Time == all[0].Time {
			n++
		}
		if r, ok := c.Row(member.LatenciesName, all[0].Time); ok {
			addSecond(r, all[:n])
		}
		all = all[n:]
	}
}

// addSecond adds the lines of one second. Maxima are kept by CPU and over all of them: a
// stall is on one CPU, and a trigger asks for the longest.
func addSecond(r column.Row, now []member.Latency) {
	longest := map[string]int64{}
	for i := range now {
		l := &now[i]
		kind, name, cpu := l.Kind, strings.ToLower(l.Name), "cpu"+strconv.Itoa(l.CPU)
		r.Put(column.Gauge, "s", float64(l.MaxNs)/1e9, kind, name, cpu, "max")
		r.Put(column.Events, "1", float64(l.Count), kind, name, cpu, "count")
		r.Put(column.Events, "s", float64(l.SumNs)/1e9, kind, name, cpu, "time")
		key := kind + "." + name
		longest[key] = max(longest[key], l.MaxNs)
	}
	for key, ns := range longest {
		r.Put(column.Gauge, "s", float64(ns)/1e9, key, "max")
	}
}
