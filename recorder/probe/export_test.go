//go:build linux

package probe

import (
	"errors"
	"fmt"
	"io"
	"math/bits"
	"time"
)

// programStats is what one program has cost since TimeRuns.
type programStats struct {
	program string // as bpftool(8) shows it
	runs    uint64
	time    time.Duration // with the measuring itself: 70 ns a run where an empty program was tried
	// missed runs were skipped by the kernel because the program was interrupted by
	// an event of its own on the same CPU.
	missed uint64
}

// stats returns the cost of every armed program. Without TimeRuns only missed is
// counted.
func (s *Set) stats() ([]programStats, error) {
	var all []programStats
	var errs []error
	for _, a := range s.armed {
		for _, l := range programs(a) {
			for name, prog := range l.Programs {
				st, err := prog.Stats()
				if err != nil {
					errs = append(errs, fmt.Errorf("read statistics of program %s: %w", name, err))
					continue
				}
				all = append(all, programStats{name, st.RunCount, st.Runtime, st.RecursionMisses})
			}
		}
	}
	return all, errors.Join(errs...)
}

// programs gives what an armed probe has loaded.
func programs(armed io.Closer) []*loaded {
	switch p := armed.(type) {
	case *loaded:
		return []*loaded{p}
	case *tcpPrograms:
		return []*loaded{p.loaded}
	case *RTT, *States, *Response: // theirs are those
		return nil
	case *Listeners:
		return []*loaded{p.loaded}
	case *Softirqs:
		return []*loaded{p.loaded}
	case *Stacks:
		return []*loaded{p.loaded}
	case *Echo:
		return []*loaded{p.loaded}
	case *Functions:
		return p.loaded
	}
	panic(fmt.Sprintf("a probe of type %T", armed))
}

// mean is the average, 0 when empty.
func (d *Durations) mean() time.Duration {
	if d.Count == 0 {
		return 0
	}
	return d.Sum / time.Duration(d.Count)
}

// add counts one duration in whole microseconds, as the program does.
func (h *Histogram) add(d time.Duration) {
	d = d.Truncate(time.Microsecond)
	h.Bucket[bucketOf(uint64(d/time.Microsecond))]++
	h.Count++
	h.Max = max(h.Max, d)
}

// bucketOf is bucket_of of bpf/histogram.h.
func bucketOf(us uint64) int {
	if us < 8 {
		return int(us)
	}
	k := bits.Len64(us) - 1
	return min((k-2)<<3+int(us>>(k-3)&7), Buckets-1)
}
