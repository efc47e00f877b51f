//go:build linux

package capture

import (
	"encoding/binary"
	"sync/atomic"
	"time"
	"unsafe"

	"github.com/spikebox/spikebox/bpf"
	"github.com/spikebox/spikebox/recorder/pack"
)

const (
	// packBatch is how many blocks are packed together, those of a CPU as one: the first packet of each
	// connection in what is packed is kept whole. They wait among the programs' reserve, which is a quarter
	// of all.
	packBatch = 32
	// packIdle is how often a tap is looked at that fills slowly. What a flood finds in the ring is overwritten
	// when it has gone round once: in half a second at a million packets/s, with the default memory.
	packIdle = 500 * time.Millisecond
)

// within is how soon advance must be called again.
func (t *tap) within() time.Duration { return t.pause }

// advance packs what the programs will overwrite next, and reckons when half of the reserve will have been
// filled at the rate since it was called last.
func (t *tap) advance() {
	if t.pause = 0; t.packed == nil && !t.guarded {
		return
	}
	now, head := time.Now(), atomic.LoadUint64(&t.pool.Head)
	t.pause = packIdle
	if grew := head - t.head; grew > 0 {
		t.pause = min(packIdle, now.Sub(t.looked)*time.Duration(t.plan.reserve()/2)/time.Duration(grew))
	}
	t.looked, t.head = now, head
	if t.packed == nil {
		t.stays = t.oldest(head) > t.next
		return
	}
	t.pack(uint64(min(packBatch, t.plan.reserve()/4)))
	t.yield() // where something is guarded, the programs may have what was packed
}

// guard keeps the programs from the blocks that are not packed, and those that are from being forgotten.
func (t *tap) guard(since time.Time) {
	t.guarded, t.stays = !since.IsZero(), false
	switch {
	case t.packed != nil:
		t.packed.keepFrom(since)
	case t.guarded:
		head, from := atomic.LoadUint64(&t.pool.Head), t.opened.Mono(since)
		kept := float64(t.plan.blocks - t.plan.reserve())
		for t.next = max(t.oldest(head), head-min(head, uint64(kept*guardShare))); t.next < head && int64(atomic.LoadUint64(&t.header(t.next).Last)) < from; {
			t.next++
		}
	}
	t.yield()
}

func (t *tap) stuck() bool { return t.stays || t.packed != nil && t.packed.tight(t.looked) }

// pack packs the blocks that a cut would leave to the programs, if there are at least so many.
func (t *tap) pack(least uint64) {
	if t.packed == nil {
		return
	}
	blocks := uint64(t.plan.blocks)
	head := atomic.LoadUint64(&t.pool.Head)
	if head >= t.next+blocks { // what was overwritten ends the history; what may be while it is packed, too
		t.next = head - blocks + uint64(t.plan.reserve()/2)
		t.forget(t.next)
	}
	first := t.oldest(head)
	if t.stays = false; t.next+least > first {
		return
	}
	if t.stays = t.packed.refuses(t.instant(t.newestFrom(t.next, first)), time.Now()); t.stays {
		return
	}
	byCPU := map[uint32][]uint64{}
	var cpus []uint32
	for n := t.next; n < first; n++ {
		h := t.header(n)
		if atomic.LoadUint64(&h.Number) != n || int(atomic.LoadUint32(&h.Used)) <= tapHeader || t.torn(h) {
			continue
		}
		if byCPU[h.Cpu] == nil {
			cpus = append(cpus, h.Cpu)
		}
		byCPU[h.Cpu] = append(byCPU[h.Cpu], n)
	}
	for _, cpu := range cpus {
		t.packCPU(cpu, byCPU[cpu])
	}
	// What was overwritten meanwhile cannot be told from what was not.
	if atomic.LoadUint64(&t.pool.Head) >= t.next+blocks {
		t.forget(first)
	}
	t.next = first
}

// forget lets go of all that is packed, since packets behind it were overwritten, or are in blocks before one
// that are not packed.
func (t *tap) forget(before uint64) {
	n, _ := t.packed.forget(len(t.packed.blocks))
	t.gone += n
	t.forgotten = max(t.forgotten, t.newest(before))
}

// instant is that of a time of the programs.
func (t *tap) instant(mono uint64) time.Time { return t.opened.Instant(t.opened.Place(int64(mono))) }

// packCPU packs blocks of one CPU as one.
func (t *tap) packCPU(cpu uint32, numbers []uint64) {
	self := packedBlock{cpu: cpu}
	for _, n := range numbers {
		h := t.header(n)
		self.packets += uint64(atomic.LoadUint32(&h.Packets))
		self.last = max(self.last, int64(atomic.LoadUint64(&h.Last)))
	}
	self.until = t.instant(uint64(self.last))
	n, gone := t.packed.take(self, time.Now(), func(to *pack.Packer) (kept int64) {
		for _, n := range numbers {
			begin := int(n%uint64(t.plan.blocks)) * t.plan.size
			used := min(int(atomic.LoadUint32(&t.header(n).Used)), t.plan.size)
			kept += packTap(to, t.memory[begin:begin+used])
		}
		return kept
	})
	t.taken += self.packets
	t.gone += n
	if gone != nil {
		t.forgotten = max(t.forgotten, uint64(gone.last))
	}
}

// packTap packs the packets of a tap's block, and counts the bytes that were kept of them.
func packTap(to *pack.Packer, data []byte) (kept int64) {
	for off := tapHeader; off+tapRecord <= len(data); {
		h := (*bpf.TapRecord)(unsafe.Pointer(&data[off]))
		begin := off + tapRecord
		end := begin + int(h.Captured)
		if end > len(data) {
			break
		}
		r := pack.Record{Time: int64(h.Time), Wire: h.Wire, Kind: h.Kind, Data: data[begin:end]}
		if h.Tagged != 0 {
			var tag [vlanTag]byte
			binary.NativeEndian.PutUint16(tag[:2], h.Tpid) // it is as on the wire
			binary.BigEndian.PutUint16(tag[2:], h.Tci)
			r.VLAN = binary.BigEndian.Uint32(tag[:])
		}
		to.Add(&r)
		kept += int64(len(r.Data))
		off = (end + 7) &^ 7
	}
	return kept
}
