package traffic

import (
	"cmp"
	"math/bits"
	"slices"

	"github.com/spikebox/spikebox/analyzer/flow"
)

// Answers is how long the answers took that a service began to give in one second.
type Answers struct {
	At        int64 // Unix s
	N         uint32
	Sum, Most int64                 // ns
	By        [answerBuckets]uint16 // by size, at most 65,535 each
}

// answerBuckets are four to an octave from 1 ms on: the first is below it, the last above a minute.
const answerBuckets = 66

// bucket gives the place of a time in ns.
func bucket(d int64) int {
	if d < 1_000_000 {
		return 0
	}
	us := uint64(d / 250_000) // quarters of ms
	octave := bits.Len64(us) - 3
	return min(1+4*octave+int(us>>octave&3), answerBuckets-1)
}

// Bound gives the least ns of a bucket.
func Bound(i int) int64 {
	if i == 0 {
		return 0
	}
	octave, quarter := (i-1)/4, (i-1)%4
	return int64(4+quarter) << octave * 1_000_000 / 4
}

// Quantile gives a time, in ns, that at least the part 1-q of the answers in some seconds took; 0
// without any.
func Quantile(list []Answers, q float64) int64 {
	var sum [answerBuckets]uint64
	var n uint64
	for i := range list {
		for b, c := range list[i].By {
			sum[b] += uint64(c)
			n += uint64(c)
		}
	}
	rank := uint64(q * float64(n))
	for b, c := range sum {
		if rank < c {
			return Bound(b)
		}
		rank -= c
	}
	return 0
}

// think takes the time that a server took to begin an answer.
func (s *Sums) think(e *flow.Event) {
	f := e.Flow
	if !f.ServerKnown() {
		return
	}
	v := s.service(f.Server)
	at := e.Time / 1e9
	i := len(v.Answers)
	if i == 0 || v.Answers[i-1].At != at {
		var ok bool
		i, ok = slices.BinarySearchFunc(v.Answers, at, func(a Answers, at int64) int { return cmp.Compare(a.At, at) })
		if !ok {
			const entries = 4 // a second of answers takes as much as so many others
			if s.kept+entries > mostEntries {
				return
			}
			s.kept += entries
			v.Answers = slices.Insert(v.Answers, i, Answers{At: at})
		}
	} else {
		i--
	}
	a := &v.Answers[i]
	a.N++
	a.Sum += e.Value
	a.Most = max(a.Most, e.Value)
	if b := bucket(e.Value); a.By[b] < 1<<16-1 {
		a.By[b]++
	}
}
