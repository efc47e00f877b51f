package check

import (
	"math"

	"github.com/spikebox/spikebox/analyzer/timeline"
)

// held gives the longest run in which a share of time was at least so large, where it lasted for so many
// seconds, and its largest value in it.
func (c *Case) held(line *timeline.Series, least, duration float64) (span timeline.Span, most float64, ok bool) {
	span, ok = timeline.Longest(line.Runs(c.Window, 0, func(v float64) bool { return v >= least }))
	if !ok || float64(span.End-span.Start)/1e9 < duration {
		return span, 0, false
	}
	most, _, _ = line.Max(span)
	return span, most, true
}

// shares makes of a counter of time the share of each second that it took; unit is how much of what it counts is a
// second. Readings come ten a second once a trigger has fired, and a share of 0.1 s is noise. Each value
// stands for the time since the one before it.
func shares(s *timeline.Series, unit float64) *timeline.Series {
	if s == nil {
		return nil
	}
	out := &timeline.Series{Name: s.Name, Unit: "ratio", Source: s.Source, Counts: true}
	const pace = int64(900e6) // ns; a second, less what a busy host may be early
	sum, from := 0.0, int64(0)
	for i, v := range s.V {
		if math.IsNaN(v) || i == 0 {
			sum, from = 0, s.T[i]
			out.T, out.V = append(out.T, from), append(out.V, math.NaN())
			continue
		}
		sum += v
		if at := s.T[i]; at-from >= pace {
			// The kernel's clock of a share may be a little ahead of that of the readings.
			out.T, out.V = append(out.T, at), append(out.V, min(1, sum/unit/(float64(at-from)/1e9)))
			sum, from = 0, at
		}
	}
	return out
}
