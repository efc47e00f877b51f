package flow

import "github.com/spikebox/spikebox/analyzer/packet"

// Among many flows the next packet's is rarely in the processor's cache, and waiting for it costs more
// than counting the packet. A table that has several packets at once looks for all their flows first:
// none of these loads depends on another, so that the processor waits for them together.

// lookahead is how many packets are looked up together. More are not faster.
const lookahead = 8

// whereabouts is where the flow of a packet was found.
type whereabouts struct {
	key      key
	hash     uint64
	fromHigh bool
	flow     *Flow // nil when it is to be looked for
}

// look sets key and hash.
func (w *whereabouts) look(t *Table, p *packet.Packet) {
	w.fromHigh = w.key.set(&p.Src, &p.Dst, p.SrcPort, p.DstPort, p.V6)
	w.hash = w.key.hash(t.secret)
	w.flow = nil
}

// AddBatch counts packets as Add does, one after the other: how they are cut into batches does not
// matter. It is the faster way.
func (t *Table) AddBatch(packets []packet.Packet) {
	var ahead [lookahead]whereabouts
	for len(packets) > 0 {
		n := min(len(packets), lookahead)
		t.fetch(packets[:n], ahead[:n])
		for i := range packets[:n] {
			t.add(&packets[i], &ahead[i])
		}
		packets = packets[n:]
	}
}

// fetch finds the flows of packets and brings them into the cache.
func (t *Table) fetch(packets []packet.Packet, ahead []whereabouts) {
	for i := range ahead {
		if packets[i].Kind == packet.TCP {
			ahead[i].look(t, &packets[i])
		}
	}
	// Where a packet is not TCP, this looks at the flow of an earlier one, which harms nobody.
	for i := range ahead {
		w := &ahead[i]
		f := t.chains[w.hash&uint64(len(t.chains)-1)]
		for f != nil && f.hash != w.hash {
			f = f.chain
		}
		w.flow = f
	}
	for i := range ahead {
		if f := ahead[i].flow; f != nil {
			t.touched += f.touch(f.side(ahead[i].fromHigh))
		}
	}
}

// touch reads from each cache line that a packet of side s needs.
func (f *Flow) touch(s Side) uint32 {
	x, y := &f.Dirs[s], &f.Dirs[s.Other()]
	return uint32(f.Last) + x.rtt.N() + x.Packets + x.una + x.recent[1].sum + uint32(x.srtt) +
		y.Fins + y.una + uint32(y.ackTime)
}
