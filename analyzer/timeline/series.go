// Package timeline makes named series of the evidence's numbers: one clock, a unit and
// a source for each, gaps kept as gaps. Counters become what they counted between two
// readings, so that nothing here speaks about the time since boot.
package timeline

import (
	"math"

	"github.com/spikebox/spikebox/analyzer/column"
)

// Series is one number over time.
type Series struct {
	Name   string // netstat.TcpExt.ListenOverflows
	Unit   string // 1, s, B, ratio, 1/s; of a counter: what it counts
	Source string // the member, or the kernel's path in the snapshots
	Counts bool   // V counts events since the reading before, and is no level
	T      []int64
	// V holds a value for each time, NaN where the number was not read: a CPU or an
	// interface that was not there. A counter has none at its first reading, at the
	// first one after a gap, and where it was reset.
	V      []float64
	Resets int // how often a counter went back to zero
}

// Span is a stretch of time, in Unix ns; Start is before End.
type Span struct{ Start, End int64 }

// Overlaps says whether two spans have a moment in common, give or take slack ns.
func (s Span) Overlaps(o Span, slack int64) bool {
	return s.Start <= o.End+slack && o.Start <= s.End+slack
}

// Join gives the span that covers both; an empty one covers nothing.
func (s Span) Join(o Span) Span {
	switch {
	case s == Span{}:
		return o
	case o == Span{}:
		return s
	}
	return Span{min(s.Start, o.Start), max(s.End, o.End)}
}

// Sum adds up the events of a counter within a span: those of every reading that is
// later than its start and not later than its end. n is the number of readings.
func (s *Series) Sum(in Span) (sum float64, n int) {
	if s == nil {
		return 0, 0
	}
	for i, at := range s.T {
		if at > in.Start && at <= in.End && !math.IsNaN(s.V[i]) {
			sum += s.V[i]
			n++
		}
	}
	return sum, n
}

// Max gives the largest value within a span and its time; ok is false without any.
func (s *Series) Max(in Span) (v float64, at int64, ok bool) {
	if s == nil {
		return 0, 0, false
	}
	for i, t := range s.T {
		if t < in.Start || t > in.End || math.IsNaN(s.V[i]) {
			continue
		}
		if !ok || s.V[i] > v {
			v, at, ok = s.V[i], t, true
		}
	}
	return v, at, ok
}

// Where gives the span from the first to the last time within in at which hold says
// yes. The value of a counter stands for the time since the reading before it, so that
// its span begins there.
func (s *Series) Where(in Span, hold func(v float64) bool) (span Span, ok bool) {
	if s == nil {
		return span, false
	}
	for i, t := range s.T {
		if t < in.Start || t > in.End || math.IsNaN(s.V[i]) || !hold(s.V[i]) {
			continue
		}
		start := t
		if s.Counts && i > 0 {
			start = s.T[i-1]
		}
		span, ok = span.Join(Span{start, t}), true
	}
	return span, ok
}

// Rates gives the values per second where the series counts, otherwise the values. The
// first of a counter has no time before it, and no rate.
func (s *Series) Rates() []float64 {
	if !s.Counts {
		return s.V
	}
	rates := make([]float64, len(s.V))
	for i := range rates {
		rates[i] = math.NaN()
		if i > 0 {
			rates[i] = s.V[i] / (float64(s.T[i]-s.T[i-1]) / 1e9)
		}
	}
	return rates
}

// RateUnit is the unit of Rates.
func (s *Series) RateUnit() string {
	switch {
	case !s.Counts:
		return s.Unit
	case s.Unit == "s": // seconds per second
		return "ratio"
	}
	return s.Unit + "/s"
}

// fromColumn turns a column of the evidence into a series.
func fromColumn(c *column.Column) *Series {
	s := &Series{Name: c.Name, Unit: c.Unit, Source: c.Source, T: c.Axis.T, V: c.V}
	if c.Kind == column.Gauge {
		return s
	}
	s.Counts = true
	if c.Kind == column.Events { // counted from reading to reading already
		return s
	}
	s.V = make([]float64, len(c.V))
	for i := range s.V {
		s.V[i] = math.NaN()
		if i > 0 {
			s.V[i] = increment(c.Kind, c.V[i-1], c.V[i])
		}
	}
	// A difference that is missing between two readings is a reset; beside a gap it is not
	// known to be one.
	for i, v := range s.V {
		if i > 0 && math.IsNaN(v) && !math.IsNaN(c.V[i]) && !math.IsNaN(c.V[i-1]) {
			s.Resets++
		}
	}
	return s
}

// increment is what a counter counted from one reading to the next; NaN where it was
// not read or was reset. A 32-bit counter that goes down has wrapped if that makes a
// smaller step than half its range; otherwise something has set it back, and what it
// counted in between is not known.
func increment(kind column.Kind, before, now float64) float64 {
	const span, half = 1 << 32, 1 << 31
	d := now - before
	if d >= 0 || math.IsNaN(d) {
		return d
	}
	if kind == column.Counter32 && d+span < half {
		return d + span
	}
	return math.NaN()
}

// Longest gives the longest run of readings within a span that are at least so large. A reading without a
// value ends no run: the number was not read, and nothing says that it was smaller.
func (s *Series) Longest(in Span, least float64) (longest Span, ok bool) {
	if s == nil {
		return longest, false
	}
	var run Span
	for i, t := range s.T {
		switch v := s.V[i]; {
		case t < in.Start || t > in.End || math.IsNaN(v):
			continue
		case v < least:
			run = Span{}
			continue
		}
		if run.Start == 0 {
			run.Start = t
		}
		if run.End = t; !ok || run.End-run.Start > longest.End-longest.Start {
			longest, ok = run, true
		}
	}
	return longest, ok
}

// Changes reports whether the values of a series, or the rates of a counter, are not all the same.
func (s *Series) Changes() bool {
	least, most, ok := Extent(s.Rates())
	return ok && least != most
}

// Extent gives the smallest and the largest value that was read; ok is false without any.
func Extent(v []float64) (least, most float64, ok bool) {
	for _, x := range v {
		if math.IsNaN(x) {
			continue
		}
		if !ok {
			least, most, ok = x, x, true
		}
		least, most = min(least, x), max(most, x)
	}
	return least, most, ok
}
