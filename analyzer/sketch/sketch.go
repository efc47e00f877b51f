// Package sketch sums up durations in little space: their number, extremes and quantiles.
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
	// leastCells is how many buckets a sketch has room for at first, and mostCells how many it keeps one by one: the round
	// trips of one connection lie within a factor of ten or so, which is 50 buckets, so that hardly one needs all.
	leastCells, mostCells = 4, 128
)

// Quantiles sums up samples of a duration, in milliseconds. Without samples all are 0.
type Quantiles struct {
	N                  uint64
	Min, P50, P99, Max float64
}

// Sketch sums up durations: their number, extremes and a log-linear histogram, in memory from a pool that grows with
// the buckets that hold samples. The zero value is empty.
type Sketch struct {
	min, max int64
	cells    cells
	n        uint32
}

// cells is a histogram: one cell for each bucket that holds samples, ascending; or, once those are too many, all buckets
// with nothing but their counts.
type cells []uint32

// A cell is its bucket and, in the lower bits, how many samples that holds.
const (
	countBits = 23
	mostCount = 1<<countBits - 1
)

// whole says that there is a count for every bucket.
func (c cells) whole() bool { return len(c) == buckets }

// find gives the index of a bucket's cell, or where it would be.
func (c cells) find(b uint16) int {
	low, high := 0, len(c)
	for low < high {
		if mid := int(uint(low+high) >> 1); c[mid]>>countBits < uint32(b) {
			low = mid + 1
		} else {
			high = mid
		}
	}
	return low
}

// at gives the bucket of a cell and its count.
func (c cells) at(i int) (b uint16, n uint32) {
	if c.whole() {
		return uint16(i), c[i]
	}
	return uint16(c[i] >> countBits), c[i] & mostCount
}

// Add counts one duration in ns. Negative ones, from a clock that was stepped, are left out.
func (s *Sketch) Add(ns int64, pool *Pool) {
	if ns < 0 {
		return
	}
	if s.n == 0 || ns < s.min {
		s.min = ns
	}
	s.max = max(s.max, ns)
	s.n++
	s.count(bucket(ns), 1, pool)
}

// count puts samples into a bucket.
func (s *Sketch) count(b uint16, n uint32, pool *Pool) {
	if s.cells.whole() {
		s.cells[b] += n
		return
	}
	i := s.cells.find(b)
	known := i < len(s.cells) && s.cells[i]>>countBits == uint32(b)
	switch {
	case known && n <= mostCount-s.cells[i]&mostCount:
		s.cells[i] += n
	case !known && n <= mostCount && (len(s.cells) < cap(s.cells) || cap(s.cells) < mostCells):
		if len(s.cells) == cap(s.cells) {
			s.cells = pool.move(s.cells)
		}
		s.cells = slices.Insert(s.cells, i, uint32(b)<<countBits|n)
	default:
		s.spread(pool)
		s.cells[b] += n
	}
}

// spread gives every bucket its count.
func (s *Sketch) spread(pool *Pool) {
	all := pool.get(buckets)[:buckets]
	clear(all)
	for i := range s.cells {
		b, n := s.cells.at(i)
		all[b] = n
	}
	pool.put(s.cells)
	s.cells = all
}

// Take adds the samples of another sketch and empties that.
func (s *Sketch) Take(other *Sketch, pool *Pool) {
	if other.n == 0 {
		return
	}
	if s.n == 0 {
		*s, *other = *other, Sketch{}
		return
	}
	for i := range other.cells {
		if b, n := other.cells.at(i); n > 0 {
			s.count(b, n, pool)
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

// Reset empties the sketch and gives its memory back.
func (s *Sketch) Reset(pool *Pool) {
	pool.put(s.cells)
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
	return Quantiles{
		N: uint64(s.n), Min: float64(s.min) / 1e6, P50: s.at(0.50), P99: s.at(0.99), Max: float64(s.max) / 1e6,
	}
}

// at returns the quantile q in ms: the smallest sample that at least q of all do not exceed.
func (s *Sketch) at(q float64) float64 {
	rank := max(uint32(q*float64(s.n)+0.999999), 1)
	last := uint16(0)
	for i, seen := 0, uint32(0); i < len(s.cells) && seen < rank; i++ {
		b, n := s.cells.at(i)
		last, seen = b, seen+n
	}
	return float64(min(max(middle(last), s.min), s.max)) / 1e6
}

// Pool keeps the memory that sketches use again. The zero value is empty.
type Pool struct {
	free [classes][]cells // by room: leastCells, twice as many …, mostCells, buckets
	used int64            // cells
	held int64            // cells that are free, and what it takes to keep them
}

// classes is how many sizes of memory there are.
const classes = 7

// class gives the smallest size that has room for n cells.
func class(n int) int {
	if n > mostCells {
		return classes - 1
	}
	return bits.Len(uint(max(n, leastCells)-1) / leastCells)
}

// Bytes is the memory of the sketches that are in use, beside themselves.
func (p *Pool) Bytes() int64 { return 4 * p.used }

// get returns memory for n cells, which holds anything.
func (p *Pool) get(n int) cells {
	k := class(n)
	size := leastCells << k
	if k == classes-1 {
		size = buckets
	}
	p.used += int64(size)
	if n := len(p.free[k]); n > 0 {
		c := p.free[k][n-1]
		p.free[k] = p.free[k][:n-1]
		p.held -= int64(size) + header
		return c[:0]
	}
	return make(cells, 0, size)
}

// move puts cells where there is room for as many more.
func (p *Pool) move(c cells) cells {
	wider := append(p.get(2*cap(c)), c...)
	p.put(c)
	return wider
}

const (
	// mostHeld bounds what a pool keeps after a burst, in cells, to 8 MB: enough for the ups and downs of a busy table.
	mostHeld = 2 << 20
	// header is what a free piece takes beside its cells.
	header = int64(unsafe.Sizeof(cells{}) / unsafe.Sizeof(uint32(0)))
)

// put keeps memory for later.
func (p *Pool) put(c cells) {
	if cap(c) == 0 {
		return
	}
	p.used -= int64(cap(c))
	if p.held < mostHeld {
		p.held += int64(cap(c)) + header
		p.free[class(cap(c))] = append(p.free[class(cap(c))], c[:0])
	}
}
