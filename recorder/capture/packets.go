//go:build linux

package capture

import (
	"errors"
	"fmt"
	"math"
	"time"
	"unsafe"

	"golang.org/x/net/bpf"
	"golang.org/x/sys/unix"

	"github.com/spikebox/spikebox/recorder/host"
)

// never is a hold of no block.
const never = math.MaxUint64

// Packets is the packet ring of one interface. Its methods may not be called at the
// same time; a Set sees to that for its rings.
type Packets struct {
	fd    int
	mem   []byte
	kind  linkKind
	geo   geometry
	index int // of the interface that it was last bound to; 0 before

	// head and tail count blocks for ever: the kernel has finished those below head,
	// and those below tail were given back. The block of number n is n mod geo.blocks.
	head, tail uint64
	// hold is the lowest block that an open cut still needs.
	hold uint64

	tally
	because string // it was opened instead of a tap
	// passes says of each block, at its place in the ring, when it was filled.
	passes []pass
	looked time.Time // when advance looked last
	prior  time.Time // after of the pass of the block before the oldest
	// forgotten is the stamp of the newest packet that was given back, Unix ns; 0 while
	// nothing was. From there on the ring holds everything. forgot is its block's.
	forgotten int64
	forgot    pass
	packed    *history  // what was given back and may be asked for; nil: nothing is packed
	guarded   time.Time // see guard
	stays     bool      // the oldest block is guarded, and cannot be packed
}

// pass is between which two looks at the ring the kernel finished a block: no packet in it
// is later than until, and none is older than the after of the block before. The kernel's
// own stamps say less, since they are of a clock that may be set.
type pass struct{ after, until time.Time }

func (p *Packets) way() Way           { return TPacket }
func (p *Packets) why() string        { return p.because }
func (p *Packets) linkKind() linkKind { return p.kind }

// within does not matter: the kernel wakes.
func (p *Packets) within() time.Duration { return 0 }

// bytes counts what is packed, too, as if it were full.
func (p *Packets) bytes() int {
	if p.packed != nil {
		return p.geo.bytes() + p.packed.most
	}
	return p.geo.bytes()
}

func (p *Packets) room() (filled uint64, held int) {
	return p.head * uint64(p.geo.size), p.geo.history() * p.geo.size
}

func (p *Packets) history() *history { return p.packed }

// unbind has nothing to do: the kernel does so when an interface leaves the namespace.
func (p *Packets) unbind() {}

// release lets the history be given back that a cut has kept.
func (p *Packets) release() { p.letGo(never) }

// Counters count what a ring has seen since it was opened.
type Counters struct {
	Packets     uint64 // recorded: the filter accepted them and there was room
	Drops       uint64 // accepted by the filter, but there was no room
	Freezes     uint64 // how often the ring was full
	Overwritten uint64 // recorded, and forgotten to make room for newer ones
	Packed      uint64 // that are held packed now
	PackedBytes int    // and what they take
	Unpacked    uint64 // of the overwritten: those that packing would have cost too much
}

// open makes a ring that is not bound to an interface yet; name is for errors only.
//
// The order matters: protocol 0 receives nothing before bind, so that no packet gets
// into the ring without having passed the filter.
func open(name string, kind linkKind, bytes int, f Filter) (*Packets, error) {
	geo, err := plan(bytes)
	if err != nil {
		return nil, err
	}
	code, err := f.compile(kind)
	if err != nil {
		return nil, err
	}
	sock := unix.SOCK_RAW
	if kind == rawIP {
		sock = unix.SOCK_DGRAM
	}
	p := &Packets{kind: kind, geo: geo, hold: never, passes: make([]pass, geo.blocks)}
	p.fd, err = unix.Socket(unix.AF_PACKET, sock|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, &OpenError{"open packet socket", name, err}
	}
	if err := p.setup(name, code); err != nil {
		return nil, errors.Join(err, p.Close())
	}
	return p, nil
}

// setup makes the ring behind the socket and maps it.
func (p *Packets) setup(name string, code []bpf.Instruction) error {
	if err := unix.SetsockoptInt(p.fd, unix.SOL_PACKET, unix.PACKET_VERSION, unix.TPACKET_V3); err != nil {
		return &OpenError{"choose TPACKET_V3", name, err}
	}
	if err := attach(p.fd, code); errors.Is(err, unix.ENOMEM) {
		return &OpenError{"attach packet filter", name, errTooLong}
	} else if err != nil {
		return &OpenError{"attach packet filter", name, err}
	}
	const frame = 2048 // version 3 checks it and does not use it
	req := unix.TpacketReq3{
		Block_size:     uint32(p.geo.size),
		Block_nr:       uint32(p.geo.blocks),
		Frame_size:     frame,
		Frame_nr:       uint32(p.geo.bytes() / frame),
		Retire_blk_tov: uint32(retireTimeout / time.Millisecond),
	}
	step := fmt.Sprintf("allocate packet ring of %d KiB", p.geo.bytes()>>10)
	if tooLarge(p.geo.bytes()) {
		return &OpenError{step, name, unix.ENOMEM}
	}
	if err := unix.SetsockoptTpacketReq3(p.fd, unix.SOL_PACKET, unix.PACKET_RX_RING, &req); err != nil {
		return &OpenError{step, name, err}
	}
	mem, err := unix.Mmap(p.fd, 0, p.geo.bytes(), unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED)
	if err != nil {
		return &OpenError{"map packet ring", name, err}
	}
	p.mem = mem
	return nil
}

// attach sets the socket's classic BPF filter.
func attach(fd int, code []bpf.Instruction) error {
	raw, err := bpf.Assemble(code)
	if err != nil {
		return err
	}
	prog := make([]unix.SockFilter, len(raw))
	for i, r := range raw {
		prog[i] = unix.SockFilter{Code: r.Op, Jt: r.Jt, Jf: r.Jf, K: r.K}
	}
	return unix.SetsockoptSockFprog(fd, unix.SOL_SOCKET, unix.SO_ATTACH_FILTER,
		&unix.SockFprog{Len: uint16(len(prog)), Filter: unsafe.SliceData(prog)})
}

// bind starts recording the link. Bound again after the interface was made anew, the
// ring keeps its history.
func (p *Packets) bind(l link) error {
	if l.loopback() {
		// Loopback shows every packet twice, as it leaves and as it arrives; kernels
		// before 4.20 do not know the option, and the copy is dropped at the cut.
		_ = unix.SetsockoptInt(p.fd, unix.SOL_PACKET, unix.PACKET_IGNORE_OUTGOING, 1)
	}
	all := uint16(unix.ETH_P_ALL<<8&0xff00 | unix.ETH_P_ALL>>8) // network byte order
	if err := unix.Bind(p.fd, &unix.SockaddrLinklayer{Protocol: all, Ifindex: l.index}); err != nil {
		return &OpenError{"bind packet socket", l.name, err}
	}
	p.index = l.index
	return nil
}

// bound is the index of the interface that the kernel has the socket bound to; it is
// not positive before the first bind and after the interface was removed.
func (p *Packets) bound() int {
	sa, err := unix.Getsockname(p.fd)
	if err != nil {
		return 0
	}
	if ll, ok := sa.(*unix.SockaddrLinklayer); ok {
		return ll.Ifindex
	}
	return 0
}

// Close gives the ring's memory back.
func (p *Packets) Close() error {
	var err error
	if p.mem != nil {
		err = unix.Munmap(p.mem)
		p.mem = nil
	}
	return errors.Join(err, unix.Close(p.fd))
}

// block returns the block of number n.
func (p *Packets) block(n uint64) block {
	at := int(n%uint64(p.geo.blocks)) * p.geo.size
	return block(p.mem[at : at+p.geo.size : at+p.geo.size])
}

// full says whether the kernel has stopped: it waits for the oldest block.
func (p *Packets) full() bool { return p.head-p.tail == uint64(p.geo.blocks) }

// takeOver takes over the blocks that the kernel has finished.
func (p *Packets) takeOver() {
	now := time.Now()
	for !p.full() && p.block(p.head).retired() {
		p.passes[p.head%uint64(p.geo.blocks)] = pass{p.looked, now}
		p.head++
	}
	p.looked = now
}

// pass says between which instants the packets of block n came.
func (p *Packets) pass(n uint64) pass {
	at := func(n uint64) pass { return p.passes[n%uint64(p.geo.blocks)] }
	filled := pass{after: p.prior, until: p.looked}
	if n < p.head {
		filled.until = at(n).until
	}
	if n > p.tail {
		filled.after = at(n - 1).after
	}
	return filled
}

// advance takes over the blocks that the kernel has finished, gives back as many of the
// oldest as keep the reserve free. Without calls the kernel stops recording when the ring is
// full.
func (p *Packets) advance() {
	p.takeOver()
	p.stays = false
	for p.head-p.tail > uint64(p.geo.history()) && p.tail < p.hold {
		if p.stays = p.staying(p.pass(p.tail).until); p.stays {
			return
		}
		p.giveBack()
	}
}

// staying says whether a block with packets until a time is guarded, and cannot be packed.
func (p *Packets) staying(until time.Time) bool {
	if p.packed != nil {
		return p.packed.refuses(until, p.looked)
	}
	return !p.guarded.IsZero() && !until.Before(p.guarded)
}

func (p *Packets) stuck() bool { return p.stays || p.packed != nil && p.packed.tight(p.looked) }

func (p *Packets) guard(since time.Time) {
	p.guarded, p.stays = since, false
	if p.packed != nil {
		p.packed.keepFrom(since)
		return
	}
	most := uint64(float64(p.geo.history()) * guardShare)
	if oldest := p.head - min(most, p.head); !since.IsZero() && oldest > p.tail && !p.pass(oldest-1).until.Before(since) {
		p.guarded = p.pass(oldest - 1).until.Add(1)
	}
}

// giveBack lets the kernel have the oldest block, which is packed first where somebody may ask for it.
func (p *Packets) giveBack() {
	b, filled := p.block(p.tail), p.pass(p.tail)
	gone := &packedBlock{pass: filled, last: b.last(), packets: uint64(b.packets())}
	n := gone.packets
	if p.packed != nil {
		n, gone = p.packed.take(*gone, p.looked, b.pack)
	}
	if gone != nil {
		p.stats.Overwritten += n
		p.forgotten, p.forgot = gone.last, gone.pass // not the maximum: the clock may have been set back
	}
	p.prior = p.passes[p.tail%uint64(p.geo.blocks)].after
	b.release()
	p.tail++
}

// letGo holds the blocks from hold on only, and gives back at once what may be: a ring that
// stands because it is full finishes no block for which somebody would look at it.
func (p *Packets) letGo(hold uint64) {
	p.hold = hold
	p.advance()
}

// collect adds up the kernel's counters, which start again at every reading.
func (p *Packets) collect(now time.Time) {
	s, err := unix.GetsockoptTpacketStatsV3(p.fd, unix.SOL_PACKET, unix.PACKET_STATISTICS)
	if err != nil {
		return // the socket is open and the option known: it cannot be
	}
	p.stats.Packets += uint64(s.Packets - s.Drops) // tp_packets counts the drops too
	p.stats.Drops += uint64(s.Drops)
	p.stats.Freezes += uint64(s.Freeze_q_cnt)
	p.losses.add(now, uint64(s.Drops))
	if p.packed != nil {
		p.stats.Packed, p.stats.PackedBytes, p.stats.Unpacked = p.packed.packets(), p.packed.bytes, p.packed.skipped
	}
}

// reaches is the instant from which on the ring holds everything; zero: all that there was.
func (p *Packets) reaches(clock *host.Past) time.Time {
	if p.forgotten == 0 || clock == nil {
		return time.Unix(0, p.forgotten)
	}
	stamps := clock.Stamps()
	stamps.Between(p.forgot.after, p.forgot.until)
	return clock.Base.Instant(stamps.Place(p.forgotten))
}
