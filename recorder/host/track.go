//go:build linux

package host

import (
	"math"
	"time"

	"github.com/spikebox/spikebox/recorder/ring"
)

// Track keeps the clocks' readings of the last ticks, in a ring.
type Track struct {
	clocks   Clocks
	readings *ring.Newest[Moment]
}

// NewTrack makes room for so many readings.
func NewTrack(clocks Clocks, readings int) *Track {
	return &Track{clocks, ring.NewNewest[Moment](readings)}
}

// Tick reads the clocks and keeps what they say.
func (t *Track) Tick() Moment {
	m := t.clocks()
	t.readings.Push(m)
	return m
}

// Now reads the clocks and keeps nothing: whoever asks often does not shorten the history.
func (t *Track) Now() Moment { return t.clocks() }

// Past gives the readings from the last one before start on, and the clock that base makes
// of them.
func (t *Track) Past(base Moment, start time.Time) *Past {
	p := &Past{Base: base}
	t.readings.Each(func(m *Moment) {
		if len(p.Readings) == 1 && !m.At.After(start) {
			p.Readings = p.Readings[:0]
		}
		p.Readings = append(p.Readings, *m)
	})
	p.split()
	return p
}

// Past is what the clocks did in a window. It stays as it is while recording goes on.
type Past struct {
	Base     Moment   // whose Place is the bundle's clock
	Readings []Moment // oldest first
	eras     []era
}

// Jump is how much two clocks must have moved against each other to have jumped, or to be
// told of: twenty times what may lie between the readings of one Moment, and less than what
// matters to anybody who compares with another host's log.
const Jump = time.Millisecond

// era is a time in which CLOCK_REALTIME was not set: its distance from CLOCK_MONOTONIC stays
// what it was. The two are slewed alike.
type era struct {
	offset   int64 // CLOCK_REALTIME less CLOCK_MONOTONIC
	from, to int64 // CLOCK_MONOTONIC: it began after from and ended before to, a tick each
}

// split finds the eras.
func (p *Past) split() {
	for i, m := range p.Readings {
		offset := m.Realtime - m.Monotonic
		if i == 0 {
			p.eras = append(p.eras, era{offset: offset, from: math.MinInt64, to: math.MaxInt64})
			continue
		}
		last := &p.eras[len(p.eras)-1]
		if d := offset - last.offset; d < int64(Jump) && d > -int64(Jump) {
			continue
		}
		// Between two readings: packets on either side of the step may lie in either.
		last.to = m.Monotonic
		p.eras = append(p.eras, era{offset: offset, from: p.Readings[i-1].Monotonic, to: math.MaxInt64})
	}
}

// Stamps puts stamps that the kernel took of CLOCK_REALTIME as it stood then, such as those of
// packets, on the bundle's clock. It takes them in the order in which they were taken.
type Stamps struct {
	past      *Past
	at        int   // the era of the last one
	newest    int64 // CLOCK_MONOTONIC, of all so far
	low, high int64 // between which those that come were taken
}

// Stamps begins with the oldest. Without readings (p is nil or empty) stamps stay as they are.
func (p *Past) Stamps() Stamps {
	if p != nil && len(p.eras) == 0 {
		p = nil
	}
	return Stamps{past: p, newest: math.MinInt64, low: math.MinInt64, high: math.MaxInt64}
}

// Between says between which instants the stamps that come were taken; zero: not known.
func (s *Stamps) Between(after, until time.Time) {
	s.low, s.high = math.MinInt64, math.MaxInt64
	if s.past != nil && !after.IsZero() {
		s.low = s.past.Base.Mono(after)
	}
	if s.past != nil && !until.IsZero() {
		s.high = s.past.Base.Mono(until)
	}
}

// swap is how far stamps may be out of their order: CPUs that feed one ring swap neighbours.
const swap = int64(5 * time.Millisecond)

// Place gives the Unix ns on the bundle's clock of a stamp.
func (s *Stamps) Place(stamp int64) int64 {
	if s.past == nil {
		return stamp
	}
	if len(s.past.eras) > 1 {
		s.at = s.era(stamp)
	}
	mono := stamp - s.past.eras[s.at].offset
	if mono-swap > s.high {
		// It is of no era that is known: of one before the first reading.
		if mono = s.low; mono == math.MinInt64 {
			mono = s.high
		}
	}
	s.newest = max(s.newest, mono)
	return s.past.Base.Place(mono)
}

// era is that of a stamp. One may belong to two: after a clock was set back it shows a time
// again. What is known of the instant tells them apart where the step is larger, and else
// the order, because time does not run backwards. On a link where nothing passed for as long
// as a small step back takes, neither does, and the stamp stays off by the step.
func (s *Stamps) era(stamp int64) int {
	best, least := s.at, math.Inf(1)
	for i, e := range s.past.eras {
		mono := stamp - e.offset
		wrong := beyond(mono, max(s.low, e.from), min(s.high, e.to))
		if s.newest > math.MinInt64 {
			wrong += beyond(mono, s.newest-swap, math.MaxInt64)
		}
		// Of equals the era that the last one was of.
		if wrong < least || wrong == least && i == s.at {
			best, least = i, wrong
		}
	}
	return best
}

// beyond is how far v lies outside of [low, high].
func beyond(v, low, high int64) float64 {
	return max(0, float64(low)-float64(v), float64(v)-float64(high))
}
