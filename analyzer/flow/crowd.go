package flow

import (
	"unsafe"

	"github.com/spikebox/spikebox/analyzer/packet"
)

// A table bounds its memory. A capture of 64 MiB holds a million flows of one packet, and no rule of
// time ends them when all came at once: the one that has been silent longest then ends early.

// DefaultRoom is the memory of live flows, in bytes, that Options leave at 0: some 80,000 of them.
const DefaultRoom = 192 << 20

const (
	// flowCost is the memory of a live flow without its lists: itself, its place in the hash table,
	// and the acknowledged segments that it keeps.
	flowCost    = int64(unsafe.Sizeof(Flow{})) + 16 + 2*maxPast*segmentCost
	segmentCost = int64(unsafe.Sizeof(segment{}))
	sentCost    = int64(unsafe.Sizeof(Sent{}))
)

// memory is about what the live flows take, in bytes.
func (t *Table) memory() int64 {
	return int64(t.alive)*flowCost + t.histograms.Bytes() + t.lists
}

// account follows the lists of a flow, which grow with its packets. Only the queues are looked at
// for every packet; the others grow with SYN and FIN.
func (t *Table) account(f *Flow, p *packet.Packet) {
	n := int64(cap(f.Dirs[0].list)+cap(f.Dirs[1].list)) * segmentCost
	if p.Flags&(packet.SYN|packet.FIN) != 0 {
		f.sents = int64(cap(f.Handshake.SYNs)+cap(f.Handshake.SYNACKs)+cap(f.Dirs[0].FINs)+cap(f.Dirs[1].FINs)) * sentCost
	}
	n += f.sents
	t.lists += n - f.lists
	f.lists = n
}

// makeRoom ends flows while they take more memory than they may. It must not be called while a
// flow is worked on.
func (t *Table) makeRoom() {
	for t.memory() > t.opts.Room && t.alive > 1 {
		t.totals.EndedEarly++
		t.end(t.silent())
	}
}

// silent gives a flow that will hardly be missed: one that is closed, else the half-open one that
// has been silent longest, else one of those that stand first in the wheel.
func (t *Table) silent() *Flow {
	if f := t.closed.first(); f != nil {
		return f
	}
	half := t.halfOpen.first()
	open := t.nextInWheel()
	if open == nil || half != nil && half.seen <= open.seen {
		return half
	}
	return open
}

// nextInWheel gives the most silent of the first flows in the slot that is looked at next. Flows of
// a slot were put there in the same second, so that looking at all of them would find little more.
func (t *Table) nextInWheel() *Flow {
	const most = 8
	for s := t.turned + 1; s <= t.turned+wheelSlots; s++ {
		slot := &t.wheel[s%wheelSlots]
		best := slot.first()
		if best == nil {
			continue
		}
		for f, n := best, 0; f != &slot.root && n < most; f, n = f.next, n+1 {
			if f.seen < best.seen {
				best = f
			}
		}
		return best
	}
	return nil
}
