//go:build linux

package capture

import (
	"sync/atomic"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/spikebox/spikebox/bpf"
	"github.com/spikebox/spikebox/recorder/through"
)

const (
	// throughMost is how many packets are looked at in a tick, of all interfaces: at some 60 ns each that is 1 ms of 250, less
	// than a hundredth of a CPU. Of a router that forwards more than 32,000 a second (each comes, and goes) the rest is left out.
	throughMost = 16384
	// throughStays is for how long a host is looked at that forwards nothing any more.
	throughStays = 30 * time.Second
	// throughBack is how many bytes of a ring are looked at again where something of this host's own fell silent, as who has
	// answered before is known from what came before: some 40,000 packets, which takes 3 ms, once in throughStays.
	throughBack = 4 << 20
)

// forwarding looks at what this host forwards: at the headers that the programs of the interfaces have written
// anyway, and on a host that forwards nothing at none, unless it is told to.
type forwarding struct {
	table  *through.Table // nil: nothing was forwarded yet
	counts uint64         // packets that were, as the programs count
	last   time.Time      // when that moved, or it was told to
	back   bool           // it is to begin with what came before
}

// Through tells how connections fare that this host only forwards, and its own services of UDP; of none where it forwards
// nothing, unless it is told to look. It is to be called each tick, and takes the time for what came since the last call.
func (s *Set) Through(now time.Time, look bool) through.Told {
	s.mu.Lock()
	defer s.mu.Unlock()
	f := &s.forwarding
	if s.closed || !f.goesOn(s.taps(), now, look) {
		return through.Told{Whole: true}
	}
	left := throughMost
	if f.back {
		left, f.back = len(s.members)*throughBack/tapRecord, false
	}
	for _, m := range s.members {
		t, ok := m.ring.(*tap)
		if !ok {
			continue
		}
		all := t.walk(left, func(h *bpf.TapRecord, data []byte) {
			left--
			f.add(m.link, t.kind, h, data)
		})
		if !all {
			f.table.Lapse(monotonic())
		}
	}
	return f.table.Tell(monotonic())
}

// taps are the rings that are filled by programs.
func (s *Set) taps() (all []*tap) {
	for _, m := range s.members {
		if t, ok := m.ring.(*tap); ok {
			all = append(all, t)
		}
	}
	return all
}

// goesOn says whether something is forwarded, or was just now, or it is told to look. What had come before is looked at
// only in the last case.
func (f *forwarding) goesOn(taps []*tap, now time.Time, look bool) bool {
	var counts uint64
	for _, t := range taps {
		for i := range t.lanes {
			counts += uint64(atomic.LoadUint32(&t.lanes[i].Forwarded))
		}
	}
	f.back = look && f.table == nil && counts == f.counts
	if counts != f.counts || look {
		f.counts, f.last = counts, now
	}
	if f.last.IsZero() || now.Sub(f.last) > throughStays {
		f.table = nil
		return false
	}
	if f.table == nil {
		f.table = through.New()
		for _, t := range taps {
			t.skip()
			if f.back {
				t.again(throughBack)
			}
		}
	}
	return true
}

// add takes a packet where its header of IP was kept.
func (f *forwarding) add(l link, kind linkKind, h *bpf.TapRecord, data []byte) {
	header := 0
	if kind == ethernet {
		header = ethernetHeader
	}
	if h.Kind == unix.PACKET_OTHERHOST || len(data) <= header {
		return
	}
	out := h.Kind == unix.PACKET_OUTGOING
	f.table.Add(&through.Packet{At: h.Time, Link: uint32(l.index), Out: out, Forwarded: out && h.From != 0,
		IP: data[header:], Wire: int(h.Wire) - header})
}

// monotonic is the programs' clock.
func monotonic() uint64 {
	var now unix.Timespec
	_ = unix.ClockGettime(unix.CLOCK_MONOTONIC, &now) // it is always there
	return uint64(now.Nano())
}

// walked is how far a block was read that goes on.
type walked struct {
	number uint64
	off    int
}

// walk hands over what came since the last walk, at most so many packets, and says whether that was all. The programs go on
// meanwhile: what is before a block's end is written for good, unless the ring has gone round.
func (t *tap) walk(most int, take func(*bpf.TapRecord, []byte)) bool {
	head := atomic.LoadUint64(&t.pool.Head)
	whole := true
	if kept := uint64(t.plan.blocks - t.plan.reserve()); head > t.walkedTo+kept {
		t.skip()
		return false
	}
	open := t.walking[:0]
	for n := t.walkedTo + 1; n <= head; n++ {
		t.walking = append(t.walking, walked{n, tapHeader})
	}
	t.walkedTo = head
	for _, w := range t.walking {
		h := t.header(w.number)
		if atomic.LoadUint64(&h.Number) != w.number {
			if head-w.number < uint64(t.plan.cpus) { // it is being taken just now
				open = append(open, w)
			} else {
				whole = false
			}
			continue
		}
		// A CPU goes on to its next block before it writes there: then this one's end is its last.
		ends := int(h.Cpu) >= len(t.lanes) || atomic.LoadUint64(&t.lanes[h.Cpu].Number) != w.number
		begin := int(w.number%uint64(t.plan.blocks)) * t.plan.size
		used := min(int(atomic.LoadUint32(&h.Used)), t.plan.size)
		off, n := eachRecord(t.memory[begin:begin+used], w.off, most, take)
		if most -= n; off < used {
			whole, off = false, used
		}
		if w.off = off; !ends {
			open = append(open, w)
		}
		if atomic.LoadUint64(&h.Number) != w.number {
			whole = false
		}
	}
	t.walking = open
	return whole
}

// skip leaves out what came until now.
func (t *tap) skip() {
	t.walkedTo, t.walking = atomic.LoadUint64(&t.pool.Head), t.walking[:0]
	for i := range t.lanes {
		n := atomic.LoadUint64(&t.lanes[i].Number)
		if n == 0 {
			continue
		}
		if h := t.header(n); atomic.LoadUint64(&h.Number) == n {
			t.walking = append(t.walking, walked{n, int(atomic.LoadUint32(&h.Used))})
		}
	}
}

// again has the next walk begin with some of what is kept, at most so many bytes.
func (t *tap) again(bytes int) {
	blocks := uint64(min(bytes/t.plan.size, t.plan.blocks-t.plan.reserve()))
	t.walkedTo, t.walking = t.walkedTo-min(t.walkedTo, blocks), t.walking[:0]
}

// eachRecord hands over the records of a block from an offset on, at most so many, and says where it ended.
func eachRecord(data []byte, off, most int, take func(*bpf.TapRecord, []byte)) (end, n int) {
	for ; off+tapRecord <= len(data) && n < most; n++ {
		h := (*bpf.TapRecord)(unsafe.Pointer(&data[off]))
		begin := off + tapRecord
		last := begin + int(h.Captured)
		if last > len(data) {
			break
		}
		take(h, data[begin:last])
		off = (last + 7) &^ 7
	}
	return off, n
}
