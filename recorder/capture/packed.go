//go:build linux

package capture

import (
	"encoding/binary"
	"slices"
	"time"

	"github.com/klauspost/compress/zstd"
	"golang.org/x/sys/unix"

	"github.com/spikebox/spikebox/recorder/host"
	"github.com/spikebox/spikebox/recorder/pack"
)

// packedShare is which part of a ring's memory is for what is packed: a packet takes some 150 bytes in the
// ring and 3 packed, so that a fifth of the memory reaches ten times as far back as the rest.
const packedShare = 5

// packing is what all histories of a Set share: the CPU time that they may take together, and the memory for
// it. It is used under the Set's lock.
type packing struct {
	packers [2]*pack.Packer // by pack.Link; nil: none has been needed
	squeeze *zstd.Encoder
	out     []byte // of squeeze, scratch
	meter   meter
	count   uint64        // packets that were packed, ever
	took    time.Duration // and the CPU time of that
}

// newPacking allows a share of one CPU.
func newPacking(share float64) (*packing, error) {
	squeeze, err := zstd.NewWriter(nil, zstd.WithEncoderLevel(zstd.SpeedFastest), zstd.WithEncoderConcurrency(1),
		zstd.WithLowerEncoderMem(true), zstd.WithSingleSegment(true), zstd.WithEncoderCRC(false))
	if err != nil {
		return nil, err
	}
	return &packing{squeeze: squeeze, meter: meter{share: share}}, nil
}

// block packs what add adds, and counts the bytes that were kept of it.
func (p *packing) block(link pack.Link, add func(*pack.Packer) (kept int64)) (packed []byte, kept int64) {
	begin := threadCPU()
	if p.packers[link] == nil {
		p.packers[link] = pack.NewPacker(link)
	}
	packer := p.packers[link]
	packer.Begin()
	kept = add(packer)
	p.out = p.squeeze.EncodeAll(packer.Bytes(), p.out[:0])
	took := threadCPU() - begin
	p.meter.spent += took
	p.took += took
	return slices.Clone(p.out), kept
}

// history keeps, packed, the blocks of a ring that were given back although a cut would still ask for
// them. They follow each other, and the ring's oldest block follows the newest of them.
type history struct {
	*packing
	link    pack.Link
	most    int           // bytes
	reach   time.Duration // nobody asks for what is older
	guard   time.Time     // what came since is not forgotten; zero: nothing is guarded
	blocks  []packedBlock
	bytes   int
	skipped uint64 // packets that were forgotten as the meter did not allow to pack them
}

// packedBlock is one block of the ring. It never changes, so that cuts share it.
type packedBlock struct {
	pass
	last    int64 // stamp of its newest packet, on the ring's clock
	packets uint64
	kept    int64  // bytes that were kept of them
	cpu     uint32 // that wrote it, where each has its own
	data    []byte
}

func packLink(kind linkKind) pack.Link {
	if kind == rawIP {
		return pack.RawIP
	}
	return pack.Ethernet
}

// guardShare is how much of a full memory can be guarded: where it is full of what was before a trigger, as much
// of the oldest goes as what comes after it needs to be seen at all.
const guardShare = 7. / 8

// keepFrom guards what came since a time, up to guardShare of the memory.
func (h *history) keepFrom(since time.Time) {
	h.guard = since
	left := int(float64(h.most) * guardShare)
	for i := len(h.blocks) - 1; i >= 0 && h.guarded(h.blocks[i].until); i-- {
		if left -= len(h.blocks[i].data); left < 0 {
			h.guard = h.blocks[i].until.Add(1)
		}
	}
}

// guarded says whether what came until a time may not be forgotten.
func (h *history) guarded(until time.Time) bool { return !h.guard.IsZero() && !until.Before(h.guard) }

// refuses says whether a block with packets until a time must stay in the ring: it is guarded, and there is
// no CPU time to pack it, or no memory beside others that are guarded.
func (h *history) refuses(until, now time.Time) bool {
	full := h.bytes >= h.most && h.guarded(h.blocks[0].until)
	return h.guarded(until) && (full || !h.meter.allows(now))
}

// tight says whether hardly anything is left of the memory or of the CPU time for what comes beside what is guarded.
func (h *history) tight(now time.Time) bool {
	const left = 15. / 16 // some hundred ms on a busy host, in which a cut can be taken
	return len(h.blocks) > 0 && h.guarded(h.blocks[0].until) && float64(h.bytes) >= left*float64(h.most) ||
		!h.guard.IsZero() && !h.meter.allows(now)
}

// take packs a block that is about to be given back: add adds its packets. It returns how many packets are
// forgotten by that, and the newest block of them, nil for none: the oldest, for which there is no room or
// nobody asks; or the block itself, and with it all before, where it is too old or packing it would cost too
// much. Of what is guarded nothing is forgotten: see refuses.
func (h *history) take(self packedBlock, now time.Time, add func(*pack.Packer) (kept int64)) (n uint64, forgotten *packedBlock) {
	if old := now.Sub(self.until) > h.reach; !h.guarded(self.until) && (old || !h.meter.allows(now)) {
		if !old {
			h.skipped += self.packets
		}
		h.blocks = append(h.blocks, self)
		return h.forget(len(h.blocks))
	}
	self.data, self.kept = h.block(h.link, add)
	h.count += self.packets
	h.blocks = append(h.blocks, self)
	h.bytes += len(self.data)
	gone, left := 0, h.bytes
	for gone < len(h.blocks) && !h.guarded(h.blocks[gone].until) && (left > h.most || now.Sub(h.blocks[gone].until) > h.reach) {
		left -= len(h.blocks[gone].data)
		gone++
	}
	return h.forget(gone)
}

// packets counts those that are held.
func (h *history) packets() (n uint64) {
	for i := range h.blocks {
		n += h.blocks[i].packets
	}
	return n
}

// forget lets go of the oldest blocks.
func (h *history) forget(blocks int) (n uint64, newest *packedBlock) {
	for i := range blocks {
		newest = &h.blocks[i]
		n += newest.packets
		h.bytes -= len(newest.data)
	}
	h.blocks = h.blocks[blocks:]
	return n, newest
}

// meter bounds the share of one CPU that packing takes, on average over ten seconds: a burst of one second may
// take ten times as much.
type meter struct {
	share float64
	off   bool // nothing at all, for now
	since time.Time
	spent time.Duration
}

const meterSpan = 10 * time.Second

// allows says whether something is left of the share.
func (m *meter) allows(now time.Time) bool {
	if now.Sub(m.since) >= meterSpan {
		m.since, m.spent = now, 0
	}
	return !m.off && m.spent < time.Duration(m.share*float64(meterSpan))
}

// Pack has packets packed, or, as when that costs more than the recorder may take, forgotten where the rings do
// not hold them. What is packed already stays for as long as what follows it is held.
func (s *Set) Pack(on bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.packing != nil {
		s.packing.meter.off = !on
	}
}

// PackTime is the CPU time that packing has taken so far.
func (s *Set) PackTime() time.Duration {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.packing == nil {
		return 0
	}
	return s.packing.took
}

// threadCPU is the CPU time of the calling thread: on a busy machine, where somebody else may run meanwhile,
// the time of a clock says little about what packing costs.
func threadCPU() time.Duration {
	var t unix.Timespec
	_ = unix.ClockGettime(unix.CLOCK_THREAD_CPUTIME_ID, &t) // it is always there
	return time.Duration(t.Nano())
}

// keep gives the packed blocks with packets from a time on (zero: all), for a cut: a part for each CPU that
// has a ring's blocks to itself.
func (h *history) keep(since time.Time, clock *host.Past, lo bool) (parts []*packedPart) {
	byCPU := map[uint32]*packedPart{}
	for _, b := range h.blocks {
		if b.until.Before(since) {
			continue
		}
		p := byCPU[b.cpu]
		if p == nil {
			p = &packedPart{link: h.link, clock: clock, lo: lo}
			if !since.IsZero() {
				p.since = wall(since, clock)
			}
			byCPU[b.cpu], parts = p, append(parts, p)
		}
		p.held = append(p.held, b)
	}
	return parts
}

// packedPart is what a cut holds of a history.
type packedPart struct {
	link  pack.Link
	held  []packedBlock
	since int64 // older packets are left out; on the cut's clock
	clock *host.Past
	lo    bool // the copies of leaving packets are left out
	// base places stamps of CLOCK_MONOTONIC; nil: they are of CLOCK_REALTIME, which the clock places.
	base *host.Moment
}

func (p *packedPart) blocks() int { return len(p.held) }
func (p *packedPart) ahead() int  { return reorderPackets }

// late is never true: what was packed had arrived.
func (p *packedPart) late() bool { return false }
func (p *packedPart) settle()    {}

// done lets go of the blocks before one.
func (p *packedPart) done(block int) {
	for i := range block {
		p.held[i].data = nil
	}
}

// measure unpacks the oldest blocks only, up to the first that ends within the time: of the others all packets
// are held. (Loopback's are looked at one by one, where the copies are to be left out.)
func (p *packedPart) measure(kind linkKind) (packets uint64, bytes int64) {
	n := 1
	for n < len(p.held) && (p.lo || p.base != nil && p.base.Place(p.held[n-1].last) < p.since) {
		n++
	}
	first := *p
	first.held = p.held[:n]
	packets, bytes = measured(first.cursor(), kind)
	for i := range p.held[n:] {
		packets += p.held[n+i].packets
		bytes += p.held[n+i].kept
	}
	return packets, bytes
}

// cursor begins at the oldest packet.
func (p *packedPart) cursor() cursor {
	return &packedCursor{packedPart: p, stamps: p.clock.Stamps()}
}

// packedCursor unpacks one block after the other.
type packedCursor struct {
	*packedPart
	block  int // that comes next
	in     *pack.Unpacker
	stamps host.Stamps
	// room holds the bytes of the block's packets, each block its own, as some wait in a queue.
	room []byte
}

// next returns the next packet, until there is none.
func (c *packedCursor) next() (record, bool) {
	for {
		if c.in == nil && !c.enter() {
			return record{}, false
		}
		r := pack.Record{Data: c.room[len(c.room):]}
		more, err := c.in.Next(&r)
		if !more || err != nil { // what we packed ourselves is never damaged
			c.in = nil
			continue
		}
		c.room = c.room[:min(len(c.room)+len(r.Data), cap(c.room))]
		at := r.Time
		if c.base != nil {
			at = c.base.Place(at)
		} else {
			at = c.stamps.Place(at)
		}
		if at < c.since || c.lo && r.Kind == unix.PACKET_OUTGOING {
			continue
		}
		out := record{at: at, block: c.block - 1, data: r.Data, wire: int(r.Wire), kind: r.Kind, tagged: r.VLAN != 0}
		binary.BigEndian.PutUint32(out.tag[:], r.VLAN)
		return out, true
	}
}

// unpacker is shared by cursors: of what a history holds nothing is larger than a block.
var unpacker, _ = zstd.NewReader(nil, zstd.WithDecoderConcurrency(1), zstd.WithDecoderLowmem(true))

// enter begins the next block.
func (c *packedCursor) enter() bool {
	if c.block == len(c.held) {
		return false
	}
	b := &c.held[c.block]
	c.block++
	packed, _ := unpacker.DecodeAll(b.data, nil)
	c.in = pack.NewUnpacker(c.link, packed)
	c.room = make([]byte, 0, maxBlock) // a block holds no more
	c.stamps.Between(b.after, b.until)
	return true
}
