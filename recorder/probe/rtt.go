//go:build linux

package probe

import (
	"errors"
	"fmt"
	"io"
	"os"
	"sync/atomic"
	"time"

	"github.com/spikebox/spikebox/bpf"
)

var rttProbe = Probe{
	ID:      "rtt",
	Doc:     "every round-trip time sample of established TCP connections, of a busy host's one in so many, and what it is above its connection's minimum",
	Attach:  []string{"tp_btf/tcp_probe", "tp_btf/inet_sock_set_state"},
	Needs:   tracing,
	Without: "single slow exchanges: sock_diag(7) shows averages only, which one of 1.3 s moves to 0.16 s",
	open: func(s *Set, o Options) (c io.Closer, variant string, err error) {
		s.RTT, err = s.openRTT(o)
		return s.RTT, "", err
	},
}

// RTT is the armed probe of round-trip times, and decides which connections it and Response look at. Which samples there are, and which connections
// give none, is in bpf/rtt.h.
type RTT struct {
	programs *tcpPrograms
	cpus     *shared[bpf.TcpSamples]
	// Totals over all CPUs at the last Read: programs only ever count up, so that
	// what is new is a difference, and nothing is lost between reading and resetting.
	samples, excess [Buckets]uint64
}

func (s *Set) openRTT(o Options) (*RTT, error) {
	programs, cpus, err := armTCP[bpf.TcpSamples](s, "rtt", bpf.TcpMapRttSamples, o)
	if err != nil {
		return nil, err
	}
	return &RTT{programs: programs, cpus: cpus}, nil
}

// Read puts the samples taken since the last Read into *samples, and what each was above the
// least of its connection into *excess; it overwrites both. The first sample of a connection
// has no excess. No sample is lost or told twice. It makes no system call and allocates
// nothing. The error is os.ErrClosed after Close.
func (r *RTT) Read(samples, excess *Histogram) error {
	*samples, *excess = Histogram{}, Histogram{}
	if r.cpus.slots == nil {
		return fmt.Errorf("read probe rtt: %w", os.ErrClosed)
	}
	var sum, sumExcess bpf.TcpHistogram
	for i := range r.cpus.slots {
		addHistogram(&sum, &r.cpus.slots[i].Rtt)
		addHistogram(&sumExcess, &r.cpus.slots[i].Excess)
	}
	samples.sinceLast(&r.samples, &sum)
	excess.sinceLast(&r.excess, &sumExcess)
	return nil
}

// addHistogram adds one CPU's counts to sum, and takes its maximum.
func addHistogram(sum, cpu *bpf.TcpHistogram) {
	// Before the buckets, which a program adds to first: each maximum taken is
	// in the buckets then.
	sum.Max = max(sum.Max, take(&cpu.Max))
	for b := range cpu.Bucket {
		sum.Bucket[b] += atomic.LoadUint64(&cpu.Bucket[b])
	}
}

// sinceLast puts what now has more than *seen into h, which is empty, and moves *seen.
func (h *Histogram) sinceLast(seen *[Buckets]uint64, now *bpf.TcpHistogram) {
	top := 0
	for b, n := range now.Bucket {
		if h.Bucket[b] = since(&seen[b], n); h.Bucket[b] > 0 {
			h.Count += h.Bucket[b]
			top = b
		}
	}
	h.Max = exactMax(h.Count, top, time.Duration(now.Max)*time.Microsecond)
}

// exactMax returns longest where it belongs to the topmost bucket. It does not when a
// sample came between the two readings, or an interrupt overwrote a larger maximum:
// then the bucket's end is returned, at most an eighth too high.
func exactMax(count uint64, top int, longest time.Duration) time.Duration {
	low, high := bounds(top)
	switch {
	case count == 0:
		return 0
	case longest < low || longest > high:
		return high
	}
	return longest
}

// Close detaches the probe.
func (r *RTT) Close() error {
	return errors.Join(r.programs.arm("rtt", false), r.cpus.Close())
}
