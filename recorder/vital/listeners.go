//go:build linux

package vital

import (
	"errors"
	"fmt"
	"time"

	"github.com/spikebox/spikebox/format/kerneltext"
	"github.com/spikebox/spikebox/recorder/internal/nldump"
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
		{"accept.stalled", "s", "longest time for which a listener with connections waiting has taken none, or fewer than came"},
		{"listeners.gone", "1", "listening addresses that are gone since less than a minute, of those that were there for 10 s"},
	},
	Variants: []Variant{
		probeVariant("listeners", readListeners),
		{Name: "sock_diag", Lack: "SYN_RECV is counted once a second, a tick before it is shown, and up to 20,000, not per listener", Open: openListenerDump},
		{Name: ListenersUnseen, Late: true, Lack: "SYN_RECV is counted once a second out of /proc/net/tcp, a tick before it is shown, accept queues are not seen", Open: openListenerProc},
	},
}

// listenerTick sums up one tick's listeners and hands them to the ring.
type listenerTick struct {
	now     time.Time
	ring    *ring.Listeners
	peers   *Peers // nil: nobody wants to know the ports
	known   *known
	syn     uint64
	fill    float64
	stalled time.Duration
}

func (t *listenerTick) add(l ring.Listener) {
	if l.SynQueue != ring.SynQueueUnknown {
		t.syn += uint64(l.SynQueue)
	}
	if l.AcceptLimit > 0 {
		t.fill = max(t.fill, float64(l.AcceptQueue)/float64(l.AcceptLimit))
	}
	t.stalled = max(t.stalled, t.known.stalls.add(t.now, l.Local, l.AcceptQueue))
	t.known.seen(t.now, l.Local)
	t.peers.listening(t.now, l.Local.Port())
	if t.ring != nil {
		t.ring.Add(l)
	}
}

// end ends the tick, also where not all of its listeners could be read.
func (t *listenerTick) end() {
	t.known.stalls.end(t.now)
	if t.ring != nil {
		t.ring.EndTick(t.now)
	}
}

// readListeners reads each listener's queues out of the kernel's own sockets.
func readListeners(env Env) probed {
	var all []probe.Listener // used again at each tick
	known := newKnown()
	return func(now time.Time, out []float64) (err error) {
		if all, err = env.Probes.Listeners.Read(all[:0]); err != nil {
			return err
		}
		tick := listenerTick{now: now, ring: env.Listeners, peers: env.Peers, known: known}
		for i := range all {
			l := &all[i]
			tick.add(ring.Listener{Local: l.Addr, SynQueue: l.SynQueue, AcceptQueue: l.AcceptQueue, AcceptLimit: l.AcceptLimit})
		}
		tick.end()
		out[0], out[1], out[2] = float64(tick.syn), tick.fill, tick.stalled.Seconds()
		out[3] = float64(known.gone(now))
		return nil
	}
}

// synRecvCap ends a count of half-open sockets: 20,000 take some 6 ms, and a trigger
// has fired long before.
const synRecvCap = 20_000

// halfOpen counts connections in SYN_RECV once a second.
type halfOpen struct {
	pace
	counted int // by a count, which owns it while it goes on
	synRecv float64
}

func (h *halfOpen) begin(count func() (int, error)) error {
	h.pace = pace{every: pollEvery, share: pollShare, ask: func() (err error) {
		h.counted, err = count()
		return err
	}}
	err := h.open()
	h.synRecv = float64(h.counted)
	return err
}

func (h *halfOpen) count(now time.Time) (float64, error) {
	fresh, err := h.run(now)
	if fresh {
		h.synRecv = float64(h.counted)
	}
	return h.synRecv, err
}

// listenerDump asks sock_diag: the listeners at each tick, the half-open ones once a second.
type listenerDump struct {
	halfOpen
	ring  *ring.Listeners
	peers *Peers
	known *known
	buf   []byte
}

func openListenerDump(env Env) (Reader, error) {
	r := &listenerDump{ring: env.Listeners, peers: env.Peers, known: newKnown(), buf: nldump.Buffer()}
	buf := nldump.Buffer()
	return r, r.begin(func() (n int, err error) {
		err = sockdiag.Dump(sockdiag.Query{States: 1 << sockdiag.SynRecv, Buffer: buf}, func(*sockdiag.Socket) bool {
			n++
			return n < synRecvCap
		})
		return n, err
	})
}

func (r *listenerDump) Read(now time.Time, out []float64) error {
	synRecv, err := r.halfOpen.count(now)
	if err != nil {
		return err
	}
	tick := listenerTick{now: now, ring: r.ring, peers: r.peers, known: r.known}
	err = sockdiag.Dump(sockdiag.Query{States: 1 << sockdiag.Listen, Buffer: r.buf}, func(s *sockdiag.Socket) bool {
		tick.add(ring.Listener{Local: s.Local, SynQueue: ring.SynQueueUnknown, AcceptQueue: s.RecvQ, AcceptLimit: s.SendQ})
		return true
	})
	tick.end()
	out[0], out[1], out[2] = synRecv, tick.fill, tick.stalled.Seconds()
	if err == nil {
		out[3] = float64(r.known.gone(now))
	}
	return err
}

func (r *listenerDump) Close() error {
	r.close()
	return nil
}

// listenerProc counts lines of /proc/net/tcp and tcp6 in state SYN_RECV.
type listenerProc struct {
	halfOpen
	files []*procfs.File
}

func openListenerProc(env Env) (Reader, error) {
	r := &listenerProc{}
	for _, path := range []string{"proc/net/tcp", "proc/net/tcp6"} {
		f, err := procfs.Open(env.Root, path)
		if err == nil {
			r.files = append(r.files, f)
		} else if path == "proc/net/tcp" {
			return nil, err // without IPv6 there is no tcp6
		}
	}
	if err := r.begin(r.lines); err != nil {
		return nil, errors.Join(err, r.closeFiles())
	}
	return r, nil
}

func (r *listenerProc) Read(now time.Time, out []float64) (err error) {
	synRecv, err := r.halfOpen.count(now)
	if err == nil {
		out[0] = synRecv
	}
	return err
}

// lines counts those of sockets in SYN_RECV.
func (r *listenerProc) lines() (n int, err error) {
	for _, f := range r.files {
		text, err := f.Read()
		if err != nil {
			return 0, err
		}
		err = kerneltext.ParseTCPStates(text, func(state uint8) {
			if state == sockdiag.SynRecv {
				n++
			}
		})
		if err != nil {
			return 0, fmt.Errorf("parse %s: %w", f.Name(), err)
		}
	}
	return n, nil
}

func (r *listenerProc) Close() error {
	r.close()
	if r.going { // it has the files; they are closed with the process
		return nil
	}
	return r.closeFiles()
}

func (r *listenerProc) closeFiles() error {
	for _, f := range r.files {
		f.Close()
	}
	return nil
}
