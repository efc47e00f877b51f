package evidence

import (
	"io"
	"strconv"
	"strings"

	"github.com/spikebox/spikebox/analyzer/column"
	"github.com/spikebox/spikebox/format/member"
)

// readLatencies adds the latencies as numbers over time: softirq.net_rx.max over all CPUs, and
// softirq.net_rx.cpu3.max of each: a stall is on one CPU, and a trigger asks for the longest.
// Lines of the same second make one reading. The lines themselves are not kept, as the command
// histogram reads them anew: a host of 64 CPUs has 15 MB of them.
func readLatencies(r io.Reader, c *column.Columns) error {
	m := moments{columns: c, source: member.LatenciesName}
	longest := map[string]int64{}
	put := func() {
		for key, ns := range longest {
			m.row.Put(column.Gauge, "s", float64(ns)/1e9, key, "max")
		}
		clear(longest)
	}
	err := member.EachLatency(r, func(l *member.Latency) {
		if l.Time != m.at {
			put()
		}
		row, ok := m.of(l.Time)
		if !ok {
			return
		}
		name, cpu := strings.ToLower(l.Name), "cpu"+strconv.Itoa(l.CPU)
		row.Put(column.Gauge, "s", float64(l.MaxNs)/1e9, l.Kind, name, cpu, "max")
		row.Put(column.Events, "1", float64(l.Count), l.Kind, name, cpu, "count")
		row.Put(column.Events, "s", float64(l.SumNs)/1e9, l.Kind, name, cpu, "time")
		key := l.Kind + "." + name
		if _, known := longest[key]; known || len(longest) < mostNames {
			longest[key] = max(longest[key], l.MaxNs)
		}
	})
	put()
	return err
}
