package moved

import (
	"math"
	"strings"

	"github.com/spikebox/spikebox/analyzer/timeline"
	"github.com/spikebox/spikebox/format/member"
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
	at int64 // its end, Unix ns
	v  float64
}

// readings gives a series second by second, without the readings that are missing.
func (p *parts) readings(s *timeline.Series) []reading {
	switch {
	case p.untimed && s.Source == member.LatenciesName && strings.HasPrefix(s.Name, member.Softirq+"."):
		return nil
	case sparse[s.Source] && s.Counts:
		return p.filled(s)
	case s.Counts:
		return rates(s)
	}
	return levels(s)
}

// known says whether a value was read. None of the kernel's numbers is negative, or as large
// as those that a broken bundle may hold.
func known(v float64) bool { return v >= 0 && v < 1e100 }

// rates adds up what a counter counted until a second is full. A gap makes one long reading
// where the counter stood on both sides of it, and none where it was reset.
func rates(s *timeline.Series) []reading {
	var all []reading
	counted, from, begun := 0.0, int64(0), false
	for i, at := range s.T {
		if !known(s.V[i]) {
			from, counted, begun = at, 0, true
			continue
		}
		if !begun { // what was counted before this reading has no begin
			from, begun = at, true
			continue
		}
		counted += s.V[i]
		if at-from >= pace {
			all = append(all, reading{at, counted / (float64(at-from) / second)})
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
		if !known(s.V[i]) || last != math.MinInt64 && at-last < pace {
			continue
		}
		all = append(all, reading{at, s.V[i]})
		last = at
	}
	return all
}

// filled puts zeros where a sparse member has no line. Where its source lost something the
// time before its first line is not known to have been silent; nor is the last second of the
// window, which the recorder has not closed when it cuts.
func (p *parts) filled(s *timeline.Series) []reading {
	late := int64(0)
	if s.Source == member.LatenciesName { // its lines bear the second's begin
		late = second
	}
	var all []reading
	at := p.quiet.Start
	silence := func(until int64) {
		for ; until-at >= second; at += second {
			all = append(all, reading{at + second, 0})
		}
	}
	for i, t := range s.T {
		if t += late; t <= p.quiet.Start || t > p.loud.End {
			continue
		}
		if len(all) > 0 || !p.lossy[s.Source] {
			silence(t - pace)
		}
		v := s.V[i]
		if !known(v) { // others were counted in this second
			v = 0
		}
		all = append(all, reading{t, v})
		at = t
	}
	if len(all) > 0 {
		silence(p.loud.End - second)
	}
	return all
}
