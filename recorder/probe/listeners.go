//go:build linux

package probe

import (
	"errors"
	"fmt"
	"io"
	"net/netip"
	"time"

	"github.com/cilium/ebpf/link"
	"golang.org/x/sys/unix"

	"github.com/spikebox/spikebox/bpf"
)

var listenersProbe = Probe{
	ID:      "listeners",
	Doc:     "half-open connections and accept queue of each listening TCP socket",
	Attach:  []string{"iter/tcp"},
	Needs:   tracing,
	Without: "exact counts at any rate: sock_diag(7) lists every half-open connection, 41 ms for 142000",
	open: func(s *Set, _ Options) (c io.Closer, variant string, err error) {
		s.Listeners, err = openListeners(s.hub)
		return s.Listeners, "", err
	},
}

// Listener is one listening TCP socket and its queues.
type Listener struct {
	Addr        netip.AddrPort
	Ifindex     uint32 // interface that it is bound to, 0 for any
	NetNS       uint32 // inode, as in /proc/self/ns/net
	Cookie      uint64 // as sock_diag(7) gives it; 0 until something asked for it
	SynQueue    uint32 // half-open connections: in SYN_RECV, not SYN cookies
	AcceptQueue uint32 // complete connections that accept(2) has not taken
	AcceptLimit uint32 // the backlog in force; the queue overflows when it is above
}

// Listeners reads the listening sockets of one network namespace in time proportional
// to their number, whatever the number of connections.
//
// Only a socket behind the last listener shows that it was the last, and where there
// is hardly any connection, the kernel searches its whole table for one (262144
// buckets: 2.6 ms). Read goes that far again only when the listeners differ from the
// last time, or when a socket has begun to listen since. Where the probe of states does
// not tell that, it does so after wholeShare times as long as it took, and until then a
// listener that is new and the last in the kernel's order goes unseen.
type Listeners struct {
	states *States // tells when a socket begins to listen; nil where it is not armed
	begun  uint64  // sockets that had begun to listen at the last Read
	again  bool    // one more whole pass is due for them
	loaded *loaded
	iter   *link.Iter
	memory *shared[bpf.ListenersPass] // one slot, that the program fills during a pass
	room   uint32                     // listeners for which one reading has room
	order  []netip.AddrPort           // at the last whole pass
	whole  time.Time                  // when that was
	took   time.Duration              // how long it took
	last   []Listener                 // at the last Read that was one
	skip   int                        // Reads that give these again
	unused [1]byte                    // what the program writes into its file: nothing
}

const (
	// wholeShare bounds whole passes to a thousandth of the time.
	wholeShare = 1000
	// wholeEvery is for what no count tells.
	wholeEvery = 30 * time.Second
	// perRead is how many listeners are read at each tick: the kernel takes a lock for each, and
	// 0.4 µs. Of 2,000 every second Read is one, and of more than 3,072 every fourth: what is
	// told is 750 ms old at most. Queues that overflow meanwhile are counted at each tick, by
	// the kernel (TcpExt ListenOverflows).
	perRead  = 1024
	skipMost = 3
)

// openListeners loads the iterator (Linux 5.9). Nothing runs but during Read.
func openListeners(h hub) (*Listeners, error) {
	spec, err := bpf.LoadListeners()
	if err != nil {
		return nil, fmt.Errorf("read embedded probe listeners: %w", err)
	}
	l, err := load(h, wanted{id: "listeners", spec: spec})
	if err != nil {
		return nil, err
	}
	r := &Listeners{loaded: l}
	r.iter, err = link.AttachIter(link.IterOptions{Program: l.Programs[bpf.ListenersProgListeners]})
	if err != nil {
		return nil, errors.Join(refuse("listeners", fmt.Errorf("attach iterator tcp: %w", err)), l.Close())
	}
	if r.memory, err = share[bpf.ListenersPass](l.Maps[bpf.ListenersMapListenerPass]); err != nil {
		return nil, errors.Join(refuse("listeners", err), r.iter.Close(), l.Close())
	}
	r.room = uint32(len(r.memory.slots[0].Slot))
	return r, nil
}

// Read appends the listeners of the calling thread's network namespace, which must be
// the same at each call, to out in the kernel's order. It allocates only to grow out. Where
// there are more than perRead it gives at some calls what it gave at the one before.
func (l *Listeners) Read(out []Listener) ([]Listener, error) {
	if l.skip > 0 {
		l.skip--
		return append(out, l.last...), nil
	}
	first := len(out)
	out, err := l.read(out)
	l.last = append(l.last[:0], out[first:]...)
	if err == nil {
		l.skip = min((len(out)-first)/perRead, skipMost)
	}
	return out, err
}

// settled says whether nothing has begun to listen since the last Read. A socket is counted
// just before it is among the listeners (inet_csk_listen_start, net/ipv4/inet_connection_sock.c),
// so that one that came is looked for at the next Read, too.
func (l *Listeners) settled(now time.Time) bool {
	begun, known := l.states.listened()
	switch {
	case !known:
		return now.Sub(l.whole) < wholeShare*l.took
	case begun != l.begun:
		l.begun, l.again = begun, true
		return false
	case l.again:
		l.again = false
		return false
	}
	return now.Sub(l.whole) < wholeEvery
}

// read is a pass over the listeners that are known, or a whole one.
func (l *Listeners) read(out []Listener) ([]Listener, error) {
	start := time.Now()
	if l.settled(start) {
		if len(l.order) == 0 {
			return out, nil
		}
		// One that stops after as many as there were. Where it meets others, or others in
		// another order, something has come or gone, and only a whole pass tells what.
		short, err := l.pass(out, len(l.order))
		if err != nil || l.sameOrder(short[len(out):]) {
			return short, err
		}
	}
	first := len(out)
	out, err := l.pass(out, 0)
	if err != nil {
		return out, err
	}
	l.whole = time.Now()
	l.took = l.whole.Sub(start)
	l.order = l.order[:0]
	for _, one := range out[first:] {
		l.order = append(l.order, one.Addr)
	}
	return out, nil
}

// sameOrder says whether a pass that ended early met just the listeners known before.
func (l *Listeners) sameOrder(all []Listener) bool {
	if len(all) != len(l.order) {
		return false
	}
	for i := range all {
		if all[i].Addr != l.order[i] {
			return false
		}
	}
	return true
}

// pass appends the first limit listeners to out, or all when limit is 0.
func (l *Listeners) pass(out []Listener, limit int) ([]Listener, error) {
	fd, err := l.begin()
	if err != nil {
		return out, err
	}
	defer unix.Close(fd)
	p := &l.memory.slots[0]
	for first := len(out); ; {
		p.Room, p.Count, p.Ended = l.room, 0, 0
		p.StopAfter = uint32(max(0, limit-(len(out)-first)))
		// The program writes nothing into the file. It runs within this call, on this
		// thread, so that its memory can be read afterwards without care.
		n, err := unix.Read(fd, l.unused[:])
		for i := range p.Slot[:p.Count] {
			out = append(out, listener(&p.Slot[i]))
		}
		switch {
		// Three ends: the iterator has no more sockets; it met one that is no listener, behind which
		// none comes; or as many were met as were asked for. In the last two the program stops the
		// read, which then fails with EAGAIN (bpf_seq_read, kernel/bpf/bpf_iter.c), as it does where
		// the room is full or a million sockets were passed over: there the next read goes on.
		case err == nil && n == 0, p.Ended != 0, limit > 0 && len(out)-first == limit:
			return out, nil
		case err != unix.EAGAIN && err != unix.EINTR:
			return out, fmt.Errorf("read listener %d: %w", len(out)-first, err)
		}
	}
}

// begin starts a pass over the sockets. link.Iter.Open would allocate an os.File and
// its finalizer each tick.
func (l *Listeners) begin() (fd int, err error) {
	if fd, err = createIter(l.iter.FD()); err != nil {
		return -1, fmt.Errorf("start reading listeners: %w", err)
	}
	return fd, nil
}

// listener converts a record of the program.
func listener(r *bpf.ListenersListener) Listener {
	return Listener{
		Addr:        netip.AddrPortFrom(address(r.Family, &r.Addr), r.Port),
		Ifindex:     r.Ifindex,
		NetNS:       r.Netns,
		Cookie:      r.Cookie,
		SynQueue:    r.SynQueue,
		AcceptQueue: r.AcceptQueue,
		AcceptLimit: r.AcceptLimit,
	}
}

// address reads a socket's address; IPv4 ones are in the first four bytes.
func address(family uint16, raw *[16]byte) netip.Addr {
	if family == unix.AF_INET {
		return netip.AddrFrom4([4]byte(raw[:4]))
	}
	return netip.AddrFrom16(*raw)
}

// Close unloads the iterator.
func (l *Listeners) Close() error {
	return errors.Join(l.memory.Close(), l.iter.Close(), l.loaded.Close())
}
