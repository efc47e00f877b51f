package flow

import (
	"math/bits"
	"slices"
)

const (
	// 16 buckets to a power of two: a quantile is right within 3 %.
	subBits = 4
	// Durations below 1024 ns share the first buckets; those above 2^38 ns, 4.5 minutes, the last.
	unitBits, topBits = 10, 38
	buckets           = (topBits-unitBits+1)<<subBits + 1
	// Most flows have few samples: they are kept as they are, as bucket numbers.
	fewSamples = 12
)

// Quantiles sums up samples of a duration, in milliseconds. Without samples all are 0.
type Quantiles struct {
	N                  uint64
	Min, P50, P99, Max float64
}

// sketch sums up durations in a fixed space: their number, extremes and a log-linear histogram,
// which is taken from a pool once there are more than a few.
type sketch struct {
	n        uint32
	min, max int64
	few      [fewSamples]uint16
	many     *histogram
}

// histogram counts samples by bucket.
type histogram [buckets]uint32

// add counts one duration in ns. Negative ones, from a clock that was stepped, are left out.
func (s *sketch) add(ns int64, pool *pool[histogram]) {
	if ns < 0 {
		return
	}
	if s.n == 0 || ns < s.min {
		s.min = ns
	}
	s.max = max(s.max, ns)
	switch {
	case s.many != nil:
		s.many[bucket(ns)]++
	case s.n < fewSamples:
		s.few[s.n] = bucket(ns)
	default:
		s.many = pool.get()
		for _, b := range s.few {
			s.many[b]++
		}
		s.many[bucket(ns)]++
	}
	s.n++
}

// reset empties the sketch and gives its histogram back.
func (s *sketch) reset(pool *pool[histogram]) {
	if s.many != nil {
		*s.many = histogram{}
		pool.put(s.many)
	}
	*s = sketch{}
}

// bucket returns the number of the bucket that holds a duration.
func bucket(ns int64) uint16 {
	units := uint64(ns) >> (unitBits - subBits)
	if units < 1<<subBits {
		return uint16(units)
	}
	shift := bits.Len64(units) - subBits - 1
	return uint16(min(shift<<subBits+int(units>>shift), buckets-1))
}

// middle returns the duration in the middle of a bucket.
func middle(b uint16) int64 {
	shift, low := 0, uint64(b)
	if b >= 2<<subBits {
		shift = int(b)>>subBits - 1
		low = uint64(b)&(1<<subBits-1) | 1<<subBits
	}
	return int64((2*low + 1) << shift << (unitBits - subBits) >> 1)
}

// quantiles returns what the sketch knows. Minimum and maximum are exact.
func (s *sketch) quantiles() Quantiles {
	if s.n == 0 {
		return Quantiles{}
	}
	var sorted [fewSamples]uint16
	if s.many == nil {
		sorted = s.few
		slices.Sort(sorted[:s.n])
	}
	return Quantiles{
		N: uint64(s.n), Min: float64(s.min) / 1e6, P50: s.at(0.50, &sorted), P99: s.at(0.99, &sorted),
		Max: float64(s.max) / 1e6,
	}
}

// at returns the quantile q in ms: the smallest sample that at least q of all do not exceed. The few
// samples that have no histogram come sorted.
func (s *sketch) at(q float64, sorted *[fewSamples]uint16) float64 {
	rank := max(uint32(q*float64(s.n)+0.999999), 1)
	var b uint16
	if s.many == nil {
		b = sorted[rank-1]
	} else {
		for seen := uint32(0); b < buckets-1; b++ {
			if seen += s.many[b]; seen >= rank {
				break
			}
		}
	}
	return float64(min(max(middle(b), s.min), s.max)) / 1e6
}

// pool keeps values that are used again; the zero value is empty.
type pool[T any] struct {
	free []*T
	used int // values that are in use
}

// get returns a value, zero unless put back otherwise.
func (p *pool[T]) get() *T {
	p.used++
	if n := len(p.free); n > 0 {
		v := p.free[n-1]
		p.free = p.free[:n-1]
		return v
	}
	return new(T)
}

// put keeps a value for later.
func (p *pool[T]) put(v *T) {
	p.used--
	if len(p.free) < mostFree {
		p.free = append(p.free, v)
	}
}

// mostFree bounds what a pool keeps after a burst: enough for the ups and downs of a busy table, and
// 8 MB of the largest.
const mostFree = 4096
