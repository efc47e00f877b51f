//go:build linux

package vital

import (
	"fmt"
	"time"

	"github.com/spikebox/spikebox/format/kerneltext"
	"github.com/spikebox/spikebox/recorder/internal/procfs"
	"github.com/spikebox/spikebox/recorder/internal/sockdiag"
	"github.com/spikebox/spikebox/recorder/probe"
	"github.com/spikebox/spikebox/recorder/ring"
)

const (
	// ListenerSource is the meter's name in the manifest.
	ListenerSource = "vitals.listeners"
	// ListenersUnseen is the variant that counts half-open connections and sees no queue.
	ListenersUnseen = "proc"
)

var listenerMeter = &Meter{
	ID:  "listeners",
	Doc: "the queues of this namespace's listening sockets",
	Vitals: []Vital{
		{"syn_recv", "1", "half-open connections of all listeners (SYN_RECV)"},
		{"accept.queue.fill", "ratio", "the worst listener's accept queue, of its limit; above 1 it overflows"},
	},
	Variants: []Variant{
		probeVariant("listeners", readListeners),
		{Name: "sock_diag", Lack: "SYN_RECV is counted once a second and up to 20,000, not per listener", Open: openListenerDump},
		{Name: ListenersUnseen, Late: true, Lack: "SYN_RECV is counted once a second out of /proc/net/tcp, accept queues are not seen", Open: openListenerProc},
	},
}

// listenerTick sums up one tick's listeners and hands them to the ring.
type listenerTick struct {
	ring *ring.Listeners
	syn  uint64
	fill float64
}

func (t *listenerTick) add(l ring.Listener) {
	if l.SynQueue != ring.SynQueueUnknown {
		t.syn += uint64(l.SynQueue)
	}
	if l.AcceptLimit > 0 {
		t.fill = max(t.fill, float64(l.AcceptQueue)/float64(l.AcceptLimit))
	}
	if t.ring != nil {
		t.ring.Add(l)
	}
}

// end ends the tick also where not all of its listeners could be read.
func (t *listenerTick) end(now time.Time) {
	if t.ring != nil {
		t.ring.EndTick(now)
	}
}

// readListeners reads each listener's queues out of the kernel's own sockets.
func readListeners(env Env) probed {
	var all []probe.Listener // used again at each tick
	return func(now time.Time, out []float64) (err error) {
		if all, err = env.Probes.Listeners.Read(all[:0]); err != nil {
			return err
		}
		tick := listenerTick{ring: env.Listeners}
		for i := range all {
			l := &all[i]
			tick.add(ring.Listener{Local: l.Addr, SynQueue: l.SynQueue, AcceptQueue: l.AcceptQueue, AcceptLimit: l.AcceptLimit})
		}
		tick.end(now)
		out[0], out[1] = float64(tick.syn), tick.fill
		return nil
	}
}

// synRecvCap ends a count of half-open sockets: 20,000 take some 6 ms, and a trigger
// has fired long before.
const synRecvCap = 20_000

// listenerDump asks sock_diag: the listeners at each tick, the half-open ones once a second.
type listenerDump struct {
	ring    *ring.Listeners
	pace    pace
	synRecv float64
}

func openListenerDump(env Env) (Reader, error) {
	r := &listenerDump{ring: env.Listeners, pace: pace{every: pollEvery}}
	return r, r.countSynRecv()
}

func (r *listenerDump) Read(now time.Time, out []float64) error {
	if err := r.pace.run(now, r.countSynRecv); err != nil {
		return err
	}
	tick := listenerTick{ring: r.ring}
	err := dumpAll(1<<sockdiag.Listen, func(s *sockdiag.Socket) bool {
		tick.add(ring.Listener{Local: s.Local, SynQueue: ring.SynQueueUnknown, AcceptQueue: s.RecvQ, AcceptLimit: s.SendQ})
		return true
	})
	tick.end(now)
	out[0], out[1] = r.synRecv, tick.fill
	return err
}

func (r *listenerDump) countSynRecv() error {
	n := 0
	err := dumpAll(1<<sockdiag.SynRecv, func(*sockdiag.Socket) bool {
		n++
		return n < synRecvCap
	})
	r.synRecv = float64(n)
	return err
}

func (r *listenerDump) Close() error { return nil }

func dumpAll(states uint32, f func(*sockdiag.Socket) bool) error {
	for _, family := range sockdiag.Families {
		if err := sockdiag.Dump(sockdiag.Query{Family: family, States: states}, f); err != nil {
			return err
		}
	}
	return nil
}

// listenerProc counts lines of /proc/net/tcp and tcp6 in state SYN_RECV.
type listenerProc struct {
	files   []*procfs.File
	pace    pace
	synRecv float64
}

func openListenerProc(env Env) (Reader, error) {
	r := &listenerProc{pace: pace{every: pollEvery}}
	for _, path := range []string{"proc/net/tcp", "proc/net/tcp6"} {
		f, err := procfs.Open(env.Root, path)
		if err == nil {
			r.files = append(r.files, f)
		} else if path == "proc/net/tcp" {
			return nil, err // without IPv6 there is no tcp6
		}
	}
	return r, nil
}

func (r *listenerProc) Read(now time.Time, out []float64) error {
	err := r.pace.run(now, r.count)
	out[0] = r.synRecv
	return err
}

func (r *listenerProc) count() error {
	n := 0
	for _, f := range r.files {
		text, err := f.Read()
		if err != nil {
			return err
		}
		err = kerneltext.ParseTCPStates(text, func(state uint8) {
			if state == sockdiag.SynRecv {
				n++
			}
		})
		if err != nil {
			return fmt.Errorf("parse %s: %w", f.Name(), err)
		}
	}
	r.synRecv = float64(n)
	return nil
}

func (r *listenerProc) Close() error {
	for _, f := range r.files {
		f.Close()
	}
	return nil
}
