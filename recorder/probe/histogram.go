//go:build linux

package probe

import (
	"time"
)

// Buckets is the number of a Histogram's buckets: one for each microsecond below 8,
// then 8 an octave up to 2^29 us (536 s), as in bpf/histogram.h.
const Buckets = 216

// Histogram holds durations in buckets at most an eighth of their value wide. The zero
// value is empty. Durations are kept in whole microseconds.
type Histogram struct {
	Bucket [Buckets]uint64
	Count  uint64
	Max    time.Duration // exact; 0 when empty
}

// Merge counts all of o's durations in h.
func (h *Histogram) Merge(o *Histogram) {
	for i, n := range o.Bucket {
		h.Bucket[i] += n
	}
	h.Count += o.Count
	h.Max = max(h.Max, o.Max)
}

// Quantile returns the smallest duration that a share q (0..1) of all does not exceed,
// interpolated within its bucket; Max where that is the largest one, 0 when empty.
func (h *Histogram) Quantile(q float64) time.Duration {
	if h.Count == 0 {
		return 0
	}
	// The smallest rank that is at least the share: of 100 samples, 0.99 is the 99th.
	rank := uint64(q * float64(h.Count))
	if float64(rank) < q*float64(h.Count) || rank == 0 {
		rank++
	}
	if rank >= h.Count {
		return h.Max
	}
	for i, n := range h.Bucket {
		if rank > n {
			rank -= n
			continue
		}
		low, high := bounds(i)
		d := low + time.Duration(float64(high-low)*float64(rank)/float64(n))
		return min(d, h.Max)
	}
	return h.Max
}

// bounds returns the smallest and the largest duration of bucket i.
func bounds(i int) (low, high time.Duration) {
	edge := func(i int) time.Duration {
		if i < 8 {
			return time.Duration(i) * time.Microsecond
		}
		return time.Duration(8+i&7) << (i>>3 - 1) * time.Microsecond
	}
	return edge(i), edge(i+1) - time.Microsecond
}
