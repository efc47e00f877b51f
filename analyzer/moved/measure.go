package moved

import (
	"math"
	"slices"
	"strings"

	"github.com/spikebox/spikebox/analyzer/evidence"
	"github.com/spikebox/spikebox/analyzer/ticks"
	"github.com/spikebox/spikebox/analyzer/timeline"
	"github.com/spikebox/spikebox/format/member"
	"github.com/spikebox/spikebox/format/unit"
)

// fewest is how many quiet readings a usual needs: one has no spread, and an incident of its
// own would be called usual.
const fewest = 2

// change is how a series moved.
type change struct {
	series             *timeline.Series
	readings           []reading
	then, usual, noise float64
	peak               int   // by index of readings: where it was furthest out
	first              int64 // Unix ns
	score              float64
	most               *float64 // of the quiet readings, the furthest on that side
	with               []string
}

// measure compares a series' loud part with its quiet one. It is nil where the series has not
// moved, or has no usual: a number that begins with the incident cannot have changed.
func (p *parts) measure(s *timeline.Series) *change {
	all := p.readings(s)
	edge := slices.IndexFunc(all, func(r reading) bool { return r.at > p.quiet.End })
	if edge < fewest {
		return nil
	}
	c := compare(s, all, edge)
	// Once more without what belongs to the incident: usual must never contain it, and of a
	// window that a human asked for nobody knows where it begins.
	if calm := c.began(); calm < edge && calm >= fewest {
		c = compare(s, all, calm)
	}
	if c.score > least && ticks.Waits(s.Name) {
		c = p.waited(s, all, edge, c.then)
	}
	if c == nil || c.score <= least {
		return nil
	}
	c.first = c.left()
	return c
}

// waited compares once more without the readings in which so long a wait could not be seen: it is known when it
// has ended, and what began before the first packet is not known at all. It is nil where too few are left.
func (p *parts) waited(s *timeline.Series, all []reading, edge int, wait float64) *change {
	blind := s.T[0] + int64(wait*second)
	n := slices.IndexFunc(all, func(r reading) bool { return r.at > blind })
	if n < 0 || edge-n < fewest {
		return nil
	}
	return compare(s, all[n:], edge-n)
}

// compare gives the score of the readings from edge on against those before it, for the
// direction in which it is larger.
func compare(s *timeline.Series, all []reading, edge int) *change {
	c := &change{series: s, readings: all, usual: median(values(all[:edge]))}
	high, low := extremes(all, 0, edge)
	// 3: of normal noise one reading in 370 is further out. Where a quiet second was further
	// out than that, the series is one of bursts, and that second is its noise.
	c.noise = max(3*spread(s, values(all[:edge]), c.usual), high.mean-c.usual, c.usual-low.mean)
	high, low = extremes(all, edge, len(all))
	up := (high.mean + c.noise) / (c.usual + c.noise)
	down := (c.usual + c.noise) / (low.mean + c.noise)
	c.peak, c.score = high.peak, up
	if down > up && !harmless(s) {
		c.peak, c.score = low.peak, down
	}
	c.then = all[c.peak].v
	return c
}

// harmless says of a series that less of it is no trouble: times and shares of time measure
// waiting and work. That packets or connections become fewer may well be the incident.
func harmless(s *timeline.Series) bool {
	u := s.RateUnit()
	return u == unit.Seconds || u == unit.Ratio
}

// extreme is the two seconds in which a series was furthest out.
type extreme struct {
	mean float64 // of both
	peak int     // the one further out, by index
}

// extremes gives the highest and the lowest two readings in a row of those from one index
// to another. What lasts a second touches two readings, and a single one that is far out
// counts half: any quiet host has some of those.
func extremes(all []reading, from, to int) (high, low extreme) {
	high, low = extreme{all[from].v, from}, extreme{all[from].v, from}
	for i := from + 1; i < to; i++ {
		higher, lower := i, i-1
		if all[i].v < all[i-1].v {
			higher, lower = i-1, i
		}
		mean := (all[i-1].v + all[i].v) / 2
		if i == from+1 || mean > high.mean {
			high = extreme{mean, higher}
		}
		if i == from+1 || mean < low.mean {
			low = extreme{mean, lower}
		}
	}
	return high, low
}

// began is the reading at which the series left its usual: the first of the run before its
// peak that were all beyond the noise.
func (c *change) began() int {
	i := c.peak
	for i > 0 && c.beyond(c.readings[i-1].v) {
		i--
	}
	return i
}

// beyond says whether a value is out of the noise, on the side of the peak.
func (c *change) beyond(v float64) bool {
	margin := min(c.noise, math.Abs(c.then-c.usual)/2)
	if c.then < c.usual {
		return v < c.usual-margin
	}
	return v > c.usual+margin
}

// left is when the series left its usual. Levels are asked again at their own pace, which is
// four times as fine: in which order things moved is what a reader looks for.
func (c *change) left() int64 {
	at := c.readings[c.began()].at
	if c.series.Counts {
		return at
	}
	i, _ := slices.BinarySearch(c.series.T, at)
	for i--; i >= 0 && c.beyond(c.series.V[i]); i-- { // of NaN nothing is true
		at = c.series.T[i]
	}
	return at
}

// line puts a change into the form that it is told in.
func (c *change) line() Line {
	const named = 8 // of others that say the same: enough to see what they are
	l := Line{
		Series: c.series.Name, Value: c.then, Usual: c.usual, Unit: c.series.RateUnit(), First: evidence.Unix(c.first),
		Member: c.series.Source, Score: math.Round(c.score*10) / 10, With: c.with[:min(len(c.with), named)],
	}
	l.More, l.Most = len(c.with)-len(l.With), c.most
	if strings.HasPrefix(l.Member, "proc/") || strings.HasPrefix(l.Member, "sys/") {
		l.Member = member.SnapshotName(l.First, l.Member)
	}
	return l
}

func values(all []reading) []float64 {
	v := make([]float64, len(all))
	for i, r := range all {
		v[i] = r.v
	}
	return v
}

// median of some values, which it sorts.
func median(v []float64) float64 {
	slices.Sort(v)
	n := len(v)
	return (v[(n-1)/2] + v[n/2]) / 2
}
