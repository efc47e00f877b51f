// Package sketch sums up durations in a fixed space: their number, extremes and quantiles.
package sketch

import (
	"math/bits"
	"slices"
	"unsafe"
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

// Sketch sums up durations: their number, extremes and a log-linear histogram, which is taken from a
// pool once there are more than a few. The zero value is empty.
type Sketch struct {
	n        uint32
	min, max int64
	few      [fewSamples]uint16
	many     *histogram
}

// histogram counts samples by bucket.
type histogram [buckets]uint32

// Add counts one duration in ns. Negative ones, from a clock that was stepped, are left out.
func (s *Sketch) Add(ns int64, pool *Pool) {
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
		s.spill(pool)
		s.many[bucket(ns)]++
	}
	s.n++
}

// spill moves the few samples into a histogram.
func (s *Sketch) spill(pool *Pool) {
	s.many = pool.get()
	for _, b := range s.few[:min(s.n, fewSamples)] {
		s.many[b]++
	}
}

// Take adds the samples of another sketch and empties that.
func (s *Sketch) Take(other *Sketch, pool *Pool) {
	switch {
	case other.n == 0:
		return
	case s.n == 0:
		*s, *other = *other, Sketch{}
		return
	case s.many == nil && s.n+other.n <= fewSamples:
		copy(s.few[s.n:], other.few[:other.n])
	default:
		if s.many == nil {
			s.spill(pool)
		}
		if other.many == nil {
			other.spill(pool)
		}
		for b, n := range other.many {
			s.many[b] += n
		}
	}
	s.n += other.n
	s.min, s.max = min(s.min, other.min), max(s.max, other.max)
	other.Reset(pool)
}

// N is the number of samples.
func (s *Sketch) N() uint32 { return s.n }

// Max is the longest sample in ns, 0 without any.
func (s *Sketch) Max() int64 { return s.max }

// Reset empties the sketch and gives its histogram back.
func (s *Sketch) Reset(pool *Pool) {
	if s.many != nil {
		*s.many = histogram{}
		pool.put(s.many)
	}
	*s = Sketch{}
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

// Quantiles returns what the sketch knows. Minimum and maximum are exact.
func (s *Sketch) Quantiles() Quantiles {
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
func (s *Sketch) at(q float64, sorted *[fewSamples]uint16) float64 {
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

// Pool keeps the histograms that sketches use again. The zero value is empty.
type Pool struct {
	free []*histogram
	used int
}

// Bytes is the memory of the histograms that are in use.
func (p *Pool) Bytes() int64 { return int64(p.used) * int64(unsafe.Sizeof(histogram{})) }

// get returns an empty histogram.
func (p *Pool) get() *histogram {
	p.used++
	if n := len(p.free); n > 0 {
		h := p.free[n-1]
		p.free = p.free[:n-1]
		return h
	}
	return new(histogram)
}

// mostFree bounds what a pool keeps after a burst to 8 MB: enough for the ups and downs of a busy table.
const mostFree = 4096

// put keeps an empty histogram for later.
func (p *Pool) put(h *histogram) {
	p.used--
	if len(p.free) < mostFree {
		p.free = append(p.free, h)
	}
}
