package moved

import (
	"math"

	"github.com/spikebox/spikebox/analyzer/timeline"
)

const (
	second = 1e9
	// pace is what readings are thinned to, in ns. Vitals come four a second and snapshots
	// ten a second once a trigger has fired: noise can only be compared at one pace, and a
	// second is the slowest of them, less what a busy host may be early.
	pace = 0.9 * second
)

// reading is what a series said about one second.
type reading struct {
	from, at int64 // from the reading before to this one, Unix ns
	v        float64
}

// readings gives a series second by second, without the readings that are missing.
func (p *parts) readings(s *timeline.Series) []reading {
	switch {
	case sparse[s.Source] && s.Counts:
		return p.filled(s)
	case s.Counts:
		return rates(s)
	}
	return levels(s)
}

// rates adds up what a counter counted until a second is full. A gap makes one long reading
// where the counter stood on both sides of it, and none where it was reset.
func rates(s *timeline.Series) []reading {
	var all []reading
	counted, from, begun := 0.0, int64(0), false
	for i, at := range s.T {
		if math.IsNaN(s.V[i]) {
			from, counted, begun = at, 0, true
			continue
		}
		if !begun {
			from, begun = at, true
			continue
		}
		counted += s.V[i]
		if at-from >= pace {
			all = append(all, reading{from, at, counted / (float64(at-from) / second)})
			from, counted = at, 0
		}
	}
	return all
}

// levels takes one reading of each second: the vitals that measure time speak for the second
// that ends with them, and a mean of four would blur two seconds.
func levels(s *timeline.Series) []reading {
	var all []reading
	last := int64(math.MinInt64)
	for i, at := range s.T {
		if math.IsNaN(s.V[i]) || last != math.MinInt64 && at-last < pace {
			continue
		}
		all = append(all, reading{at, at, s.V[i]})
		last = at
	}
	return all
}

// filled puts zeros where a sparse member has no line. Where its source lost something the
// time before its first line is not known to have been silent.
func (p *parts) filled(s *timeline.Series) []reading {
	var all []reading
	at := p.quiet.Start
	silence := func(until int64) {
		for ; until-at >= pace; at += second {
			all = append(all, reading{at, at + second, 0})
		}
	}
	for i, t := range s.T {
		if i > 0 || !p.lossy[s.Source] {
			silence(t - second)
		}
		v := s.V[i]
		if math.IsNaN(v) { // others were counted in this second
			v = 0
		}
		all = append(all, reading{t - second, t, v})
		at = t
	}
	if len(s.T) > 0 {
		silence(p.loud.End)
	}
	return all
}
