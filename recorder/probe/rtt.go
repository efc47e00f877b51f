//go:build linux

package probe

import (
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"sync/atomic"
	"time"

	"github.com/spikebox/spikebox/bpf"
)

var rttProbe = Probe{
	ID:      "rtt",
	Doc:     "every round-trip time sample of established TCP connections",
	Attach:  []string{"tp_btf/tcp_probe", "tp_btf/tcp_rcv_space_adjust", "tp_btf/inet_sock_set_state"},
	Needs:   tracing,
	Without: "single slow exchanges: sock_diag(7) shows averages only, which one of 1.3 s moves to 0.16 s",
	open: func(s *Set, o Options) (c io.Closer, variant string, err error) {
		s.RTT, variant, err = openRTT(s.hub, o)
		return s.RTT, variant, err
	},
}

// RTT is the armed probe of round-trip times. How single samples are had from the
// kernel's average, and which connections give none, is in bpf/rtt.bpf.c.
type RTT struct {
	loaded *loaded
	cpus   *shared[bpf.RttSamples]
	// Totals over all CPUs at the last Read: programs only ever count up, so that
	// what is new is a difference, and nothing is lost between reading and resetting.
	seen    [Buckets]uint64
	seenSum uint64 // us
}

// openRTT arms the form that this kernel takes.
func openRTT(h hub, o Options) (r *RTT, variant string, err error) {
	if r, err = loadRTT(h, o, false); err == nil {
		return r, "socket storage", nil
	}
	// Before 5.11 the verifier takes no socket storage in tracing programs. If that
	// was not the reason, the first error says more.
	if r, again := loadRTT(h, o, true); again == nil {
		return r, "hash", nil
	}
	return nil, "", err
}

// loadRTT keeps the previous averages in the sockets, or in an LRU hash.
func loadRTT(h hub, o Options, lru bool) (*RTT, error) {
	spec, err := bpf.LoadRtt()
	if err != nil {
		return nil, fmt.Errorf("read embedded probe rtt: %w", err)
	}
	vars := map[string]any{bpf.RttVarNetns: o.NetNS, bpf.RttVarUseLru: uint8(0)}
	if o.LateRTT > 0 {
		vars[bpf.RttVarLateUs] = uint32(min(o.LateRTT/time.Microsecond, math.MaxUint32))
	}
	if lru {
		vars[bpf.RttVarUseLru] = uint8(1)
	} else {
		spec.Maps[bpf.RttMapRttLru].MaxEntries = 1 // unused: costs no memory
	}
	l, err := load(h, wanted{id: "rtt", spec: spec, vars: vars, perCPU: []string{bpf.RttMapRttSamples, bpf.RttMapTcpTransitions}})
	if err != nil {
		return nil, err
	}
	cpus, err := share[bpf.RttSamples](l.Maps[bpf.RttMapRttSamples])
	if err != nil {
		return nil, errors.Join(refuse("rtt", err), l.Close())
	}
	return &RTT{loaded: l, cpus: cpus}, nil
}

// Read puts the samples taken since the last Read into *into, which it overwrites. No
// sample is lost or told twice. It makes no system call and allocates nothing. The
// error is os.ErrClosed after Close.
func (r *RTT) Read(into *Histogram) error {
	*into = Histogram{}
	if r.cpus.slots == nil {
		return fmt.Errorf("read probe rtt: %w", os.ErrClosed)
	}
	var longest, sum uint64
	var total [Buckets]uint64
	for i := range r.cpus.slots {
		c := &r.cpus.slots[i]
		// Before the buckets, which a program adds to first: each maximum taken is
		// in the buckets then.
		longest = max(longest, take(&c.Max))
		sum += atomic.LoadUint64(&c.Sum)
		for b := range c.Bucket {
			total[b] += atomic.LoadUint64(&c.Bucket[b])
		}
	}
	top := 0
	for b, n := range total {
		if into.Bucket[b] = since(&r.seen[b], n); into.Bucket[b] > 0 {
			into.Count += into.Bucket[b]
			top = b
		}
	}
	into.Sum = time.Duration(since(&r.seenSum, sum)) * time.Microsecond
	into.Max = exactMax(into.Count, top, time.Duration(longest)*time.Microsecond)
	return nil
}

// Lost counts, since arming, the observations that gave no sample: more than one lay between
// two of them, or no memory was had for the socket's previous average.
func (r *RTT) Lost() (n uint64) {
	for i := range r.cpus.slots {
		n += atomic.LoadUint64(&r.cpus.slots[i].Unsplit) + atomic.LoadUint64(&r.cpus.slots[i].Unkept)
	}
	return n
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
	return errors.Join(r.cpus.Close(), r.loaded.Close())
}
