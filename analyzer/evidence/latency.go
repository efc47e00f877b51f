package evidence

import (
	"io"
	"strconv"
	"strings"

	"github.com/spikebox/spikebox/analyzer/column"
	"github.com/spikebox/spikebox/format/member"
)

// readLatencies adds the latencies as numbers over time: softirq.net_rx.max over all CPUs, and
// softirq.net_rx.cpu3.max of each. The lines themselves are not kept, as the command
// histogram reads them anew: a host of 64 CPUs has 15 MB of them.
func (e *Evidence) readLatencies(_ string, r io.Reader) error {
	s := seconds[member.Latency]{e: e, source: member.LatenciesName, add: addSecond}
	return s.end(member.EachLatency(r, func(l *member.Latency) {
		row := *l
		row.Buckets = nil
		s.keep(l.Time, &row, textSize(l.Kind, l.Name))
	}))
}

// addSecond adds the lines of one second. Maxima are kept by CPU and over all of them: a
// stall is on one CPU, and a trigger asks for the longest.
func addSecond(r column.Row, now []member.Latency) {
	longest := map[string]int64{}
	for i := range now {
		l := &now[i]
		name, cpu := strings.ToLower(l.Name), "cpu"+strconv.Itoa(l.CPU)
		r.Put(column.Gauge, "s", float64(l.MaxNs)/1e9, l.Kind, name, cpu, "max")
		r.Put(column.Events, "1", float64(l.Count), l.Kind, name, cpu, "count")
		r.Put(column.Events, "s", float64(l.SumNs)/1e9, l.Kind, name, cpu, "time")
		key := l.Kind + "." + name
		if _, known := longest[key]; known || len(longest) < mostNames {
			longest[key] = max(longest[key], l.MaxNs)
		}
	}
	for key, ns := range longest {
		r.Put(column.Gauge, "s", float64(ns)/1e9, key, "max")
	}
}
