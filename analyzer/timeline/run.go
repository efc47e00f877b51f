package timeline

import "math"

// Runs gives the stretches within a span in which hold says yes, reading after reading; two
// that are at most apart ns from each other are one. Unlike Where it does not join two blips
// at the ends of a window to one that lasts all of it. The value of a counter stands for the
// time since the reading before it.
func (s *Series) Runs(in Span, apart int64, hold func(v float64) bool) []Span {
	if s == nil {
		return nil
	}
	var runs []Span
	for i, t := range s.T {
		if t < in.Start || t > in.End || math.IsNaN(s.V[i]) || !hold(s.V[i]) {
			continue
		}
		r := Span{t, t}
		if s.Counts && i > 0 {
			r.Start = max(s.T[i-1], in.Start)
		}
		if n := len(runs); n > 0 && r.Start-runs[n-1].End <= apart {
			runs[n-1].End = t
			continue
		}
		runs = append(runs, r)
	}
	return runs
}

// Longest gives the longest of several stretches, the first of equal ones; ok is false without
// any.
func Longest(runs []Span) (longest Span, ok bool) {
	for _, r := range runs {
		if !ok || r.End-r.Start > longest.End-longest.Start {
			longest, ok = r, true
		}
	}
	return longest, ok
}

// Total adds up counters of one source, as those of the CPUs of one text; nil without any.
func Total(name string, all []*Series) *Series {
	var sum *Series
	for _, s := range all {
		switch {
		case sum == nil:
			sum = &Series{Name: name, Unit: s.Unit, Source: s.Source, Counts: s.Counts, T: s.T, V: append([]float64{}, s.V...), Resets: s.Resets}
		case len(s.V) == len(sum.V) && s.Source == sum.Source:
			for i, v := range s.V {
				if !math.IsNaN(v) && !math.IsNaN(sum.V[i]) {
					sum.V[i] += v
				} else if math.IsNaN(sum.V[i]) {
					sum.V[i] = v
				}
			}
		}
	}
	return sum
}
