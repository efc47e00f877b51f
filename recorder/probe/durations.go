//go:build linux

package probe

import (
	"math/bits"
	"sync/atomic"
	"time"

	"github.com/spikebox/spikebox/bpf"
)

// Log2Buckets is the number of buckets of Durations.
const Log2Buckets = 40

// Durations counts durations in buckets of powers of two: Bucket[i] those of 2^i to
// 2^(i+1)-1 ns, Bucket[0] those below 2 ns, the last one everything from 9 minutes on.
type Durations struct {
	Bucket [Log2Buckets]uint64
	Count  uint64
	Sum    time.Duration
	Max    time.Duration // exact; 0 when empty
}

// Merge counts all of o's durations in d.
func (d *Durations) Merge(o *Durations) {
	for i, n := range o.Bucket {
		d.Bucket[i] += n
	}
	d.Count += o.Count
	d.Sum += o.Sum
	d.Max = max(d.Max, o.Max)
}

// sinceLast puts what now has more than *seen into d, and moves *seen; it says whether
// there is anything. Most CPUs and vectors are idle, and their sum shows it. The
// maximum is taken first, see RTT.Read.
func (d *Durations) sinceLast(seen, now *bpf.SoftirqDurations) bool {
	if atomic.LoadUint64(&now.Sum) == seen.Sum {
		return false
	}
	*d = Durations{Max: time.Duration(take(&now.Max))}
	d.Sum = time.Duration(since(&seen.Sum, atomic.LoadUint64(&now.Sum)))
	top := 0
	for i := range now.Bucket {
		n := since(&seen.Bucket[i], atomic.LoadUint64(&now.Bucket[i]))
		if n > 0 {
			d.Bucket[i], top = n, i
			d.Count += n
		}
	}
	if bits.Len64(uint64(d.Max)) != top+1 { // as exactMax
		// Not of the topmost bucket: a run ended between the two readings.
		d.Max = min(d.Sum, 1<<(top+1)-1)
	}
	return d.Count > 0
}
