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
// histogram reads them anew, and diff sums them up meanwhile: a host of 64 CPUs has 15 MB of them.
func (e *Evidence) readLatencies(_ string, r io.Reader) error {
	s := seconds[member.Latency]{e: e, source: member.LatenciesName, add: addSecond}
	return s.end(member.EachLatency(r, func(l *member.Latency) {
		if e.latency != nil {
			e.latency(l)
		}
		row := *l
		row.Buckets = nil
		s.keep(l.Time, &row, textSize(l.Kind, l.Name))
	}))
}

// addSecond adds the lines of one second. Maxima are kept by CPU and over all of them: a
// stall is on one CPU, and a trigger asks for the longest. Of a CPU there may be two lines, what
// was timed and what the timer's ticks met.
func addSecond(r column.Row, now []member.Latency, took int64) {
	type where struct {
		name string
		cpu  int
	}
	longest, ofCPU := map[string]int64{}, map[where]int64{}
	for i := range now {
		l := &now[i]
		key := l.Kind + "." + strings.ToLower(l.Name)
		if _, known := longest[key]; known || len(longest) < mostNames {
			longest[key] = max(longest[key], l.MaxNs)
		}
		at := where{key, l.CPU}
		ofCPU[at] = max(ofCPU[at], l.MaxNs)
		if whole := ofSecond(l, took); whole > 0 {
			cpu := "cpu" + strconv.Itoa(l.CPU)
			r.Put(column.Events, "1", whole*float64(l.Count), key, cpu, "count")
			r.Put(column.Events, "s", whole*float64(l.SumNs)/1e9, key, cpu, "time")
		}
	}
	for at, ns := range ofCPU {
		r.Put(column.Gauge, "s", float64(ns)/1e9, at.name, "cpu"+strconv.Itoa(at.cpu), "max")
	}
	for key, ns := range longest {
		r.Put(column.Gauge, "s", float64(ns)/1e9, key, "max")
	}
}

// ofSecond is what the numbers of a line are multiplied by for those of its second; 0: they say
// nothing of it, as those of runs that were met, or of less than a fifth of it.
func ofSecond(l *member.Latency, took int64) float64 {
	switch least := took / 5; {
	case l.Met || l.TimedNs != 0 && l.TimedNs < least:
		return 0
	case l.TimedNs == 0:
		return 1
	}
	return max(1, float64(took)/float64(l.TimedNs))
}
