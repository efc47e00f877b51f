package evidence

import (
	"strconv"
	"strings"

	"github.com/spikebox/spikebox/analyzer/column"
	"github.com/spikebox/spikebox/format/member"
)

// addLatencies adds the latencies as numbers over time: softirq.net_rx.max over all CPUs, and
// softirq.net_rx.cpu3.max of each.
func addLatencies(e *Evidence) {
	begin := func(l *member.Latency) int64 { return l.Time }
	inSeconds(e, member.LatenciesName, e.Latencies, begin, addSecond)
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
