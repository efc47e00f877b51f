//go:build linux

package capture

import (
	"encoding/binary"
	"sync/atomic"
	"time"
	"unsafe"

	"github.com/spikebox/spikebox/bpf"
	"github.com/spikebox/spikebox/recorder/host"
)

const (
	tapHeader = int(unsafe.Sizeof(bpf.TapBlock{}))
	tapRecord = int(unsafe.Sizeof(bpf.TapRecord{}))
)

// tapPart is what a cut holds of a tap that one CPU has written. Each CPU's times grow.
type tapPart struct {
	tap   *tap
	held  []tapBlock
	low   uint64 // number of the first block that is not done with
	since int64  // older packets are left out; CLOCK_MONOTONIC, ns
	base  host.Moment
}

// tapBlock is what a block held at the cut, its header included.
type tapBlock struct {
	number uint64
	data   []byte
}

// header gives the block that has the place of a number, which may have another's by now.
func (t *tap) header(number uint64) *bpf.TapBlock {
	return (*bpf.TapBlock)(unsafe.Pointer(&t.memory[int(number%uint64(t.plan.blocks))*t.plan.size]))
}

// oldest is the number of the first block that a cut keeps when head is the newest.
func (t *tap) oldest(head uint64) uint64 {
	if kept := uint64(t.plan.blocks - t.plan.reserve()); head >= kept {
		return head - kept + 1
	}
	return 1
}

// first is the number of the first block that a cut holds when head is the newest: also what is guarded, and
// what came while the last blocks were packed, so that nothing is left out between.
func (t *tap) first(head uint64) uint64 {
	if t.packed != nil || t.guarded {
		return min(t.oldest(head), t.next)
	}
	return t.oldest(head)
}

// protect keeps the programs from writing over the block of a number, and newer ones. CPUs that
// look at the limit at the same time may each take one more.
func (t *tap) protect(number uint64) {
	atomic.StoreUint64(&t.pool.Limit, number+uint64(t.plan.blocks-t.plan.cpus))
}

// release lets the programs go on over all blocks but those that are guarded.
func (t *tap) release() {
	t.parts = nil
	t.yield()
}

// keep protects the blocks, and then reads where each ends. What is before that end is
// written: a program moves it when it has, and settle waits before anybody reads, which is longer
// than any CPU keeps a write to itself. The programs are a reserve away from the oldest, so
// that none has begun to take it when it is protected.
func (t *tap) keep(since time.Time, clock *host.Past, _ bool) []part {
	t.pack(1)
	head := atomic.LoadUint64(&t.pool.Head)
	first := t.first(head)
	t.protect(first)
	base := t.moment(clock)
	from := int64(0)
	if !since.IsZero() {
		from = base.Mono(since)
	}
	// A block of a CPU with little to do holds also packets that are older than what was forgotten of others:
	// between those something is missing.
	forgotten := t.forgotten
	if t.packed == nil {
		forgotten = t.newest(first)
	}
	from = max(from, int64(forgotten)+1)
	byCPU := map[uint32]*tapPart{}
	var parts []part
	if t.packed != nil {
		for _, old := range t.packed.keep(since, clock, false) {
			old.base, old.since = &base, base.Place(from)
			parts = append(parts, old)
		}
	}
	for n := first; n <= head; n++ {
		h := t.header(n)
		if atomic.LoadUint64(&h.Number) != n {
			if head-n >= uint64(t.plan.cpus) { // none that is being taken just now
				atomic.CompareAndSwapUint32(&h.Torn, 0, 1)
				t.torn(h)
			}
			continue
		}
		// Number is written after the rest, so that this is its own.
		used := atomic.LoadUint32(&h.Used)
		if int(used) <= tapHeader || int64(atomic.LoadUint64(&h.Last)) < from || t.torn(h) {
			continue
		}
		p := byCPU[h.Cpu]
		if p == nil {
			p = &tapPart{tap: t, low: n, since: from, base: base}
			byCPU[h.Cpu] = p
			t.parts = append(t.parts, p)
			parts = append(parts, p)
		}
		begin := int(n%uint64(t.plan.blocks)) * t.plan.size
		p.held = append(p.held, tapBlock{n, t.memory[begin : begin+int(used)]})
	}
	t.yield()
	return parts
}

// torn says whether two CPUs may have written into a block: one of them stood still inside the
// program, as a virtual CPU may, while the others filled all of the ring. Its packets count as
// lost, once.
func (t *tap) torn(h *bpf.TapBlock) bool {
	const counted = 2
	if atomic.LoadUint32(&h.Torn) == 0 {
		return false
	}
	if atomic.SwapUint32(&h.Torn, counted) != counted {
		n := uint64(atomic.LoadUint32(&h.Packets))
		t.damaged += n
		t.losses.add(time.Now(), n)
	}
	return true
}

// yield lets the programs have the blocks that no part needs and that are not guarded.
func (t *tap) yield() {
	low := uint64(never)
	if t.guarded {
		low = t.next
	}
	for _, p := range t.parts {
		low = min(low, p.low)
	}
	if low == never {
		atomic.StoreUint64(&t.pool.Limit, never)
		return
	}
	t.protect(low)
}

// reaches goes by the newest packet that no cut would hold.
func (t *tap) reaches(clock *host.Past) time.Time {
	forgotten := t.forgotten
	if t.packed == nil {
		forgotten = t.newest(t.first(atomic.LoadUint64(&t.pool.Head)))
	}
	if forgotten == 0 {
		return time.Time{}
	}
	base := t.moment(clock)
	return base.Instant(base.Place(int64(forgotten)))
}

// newest is the time of the newest packet among all that were overwritten, or are in blocks before one.
func (t *tap) newest(before uint64) (at uint64) {
	for i := range t.lanes {
		at = max(at, atomic.LoadUint64(&t.lanes[i].Forgotten))
	}
	n := uint64(1)
	if head, blocks := atomic.LoadUint64(&t.pool.Head), uint64(t.plan.blocks); head > blocks {
		n = head - blocks + 1
	}
	return max(at, t.newestFrom(n, before))
}

// newestFrom is the time of the newest packet in the blocks from one to before another.
func (t *tap) newestFrom(n, before uint64) (at uint64) {
	for ; n < before; n++ {
		if h := t.header(n); atomic.LoadUint64(&h.Number) <= n {
			at = max(at, atomic.LoadUint64(&h.Last))
		}
	}
	return at
}

func (p *tapPart) blocks() int { return len(p.held) }

// ahead is little: a CPU writes packets one after the other, and bpf_ktime_get_ns steps back by some
// ns at most, while the clock is corrected (kernel/time/timekeeping.c, ktime_get_mono_fast_ns).
func (p *tapPart) ahead() int { return 16 }

// late and settle have nothing to do: what was not written at the cut is not in it.
func (p *tapPart) late() bool { return false }
func (p *tapPart) settle()    {}

// done lets the programs have the blocks before one, if no other part needs them.
func (p *tapPart) done(block int) {
	p.low = never
	if block < len(p.held) {
		p.low = p.held[block].number
	}
	p.tap.yield()
}

func (p *tapPart) measure(kind linkKind) (uint64, int64) { return measured(p.cursor(), kind) }

func (p *tapPart) cursor() cursor { return &tapCursor{tapPart: p, off: tapHeader} }

// tapCursor goes through one CPU's packets.
type tapCursor struct {
	*tapPart
	block int
	off   int // of the next record in the block
}

// next returns the next packet, until there is none.
func (c *tapCursor) next() (record, bool) {
	for c.block < len(c.held) {
		data := c.held[c.block].data
		if c.off+tapRecord > len(data) {
			c.block, c.off = c.block+1, tapHeader
			continue
		}
		h := (*bpf.TapRecord)(unsafe.Pointer(&data[c.off]))
		begin := c.off + tapRecord
		end := begin + int(h.Captured)
		c.off = (end + 7) &^ 7
		if end > len(data) || int64(h.Time) < c.since {
			continue
		}
		r := record{
			at: c.base.Place(int64(h.Time)), block: c.block, data: data[begin:end],
			wire: int(h.Wire), kind: h.Kind, tagged: h.Tagged != 0,
		}
		binary.NativeEndian.PutUint16(r.tag[:2], h.Tpid) // it is as on the wire
		binary.BigEndian.PutUint16(r.tag[2:], h.Tci)
		return r, true
	}
	return record{}, false
}
