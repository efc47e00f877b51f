package flow

import (
	"math/rand/v2"
	"net/netip"
	"slices"

	"github.com/spikebox/spikebox/analyzer/packet"
	"github.com/spikebox/spikebox/analyzer/sketch"
)

// Table follows all flows that are alive. Memory grows with live flows only: a flow ends and goes
// to the sink when
//
//   - it was closed by both sides or reset, and then silent for 60 s, as long as TIME_WAIT lasts; or
//     for half a second and four of its longest round trips when more than 4096 such flows wait;
//   - its handshake was not completed and it was silent for 150 s: Linux waits at most 120 s, and an
//     eighth, between SYNs; or more than 65536 such flows wait and it is the most silent of them;
//   - it was silent for 7500 s: keep-alives come after 7200 s (RFC 1122 §4.2.3.6);
//   - a SYN with another sequence number takes its ports;
//   - all of them take more memory than Options.Room, and it is one of the most silent;
//   - Flush is called.
//
// A Table is not safe for use by several goroutines.
type Table struct {
	sink   func(*Flow)
	opts   Options
	totals Totals

	chains []*Flow // hash table, a power of two long
	secret uint64
	alive  int
	order  uint64
	now    int64 // newest packet time seen

	halfOpen line // handshake not completed
	closed   line // closed or reset
	wheel    [wheelSlots]list
	turned   int64 // the second up to which the wheel has been turned

	flows      pool
	histograms sketch.Pool
	slabs      slabs
	event      Event
	lists      int64  // bytes of the live flows' lists
	touched    uint32 // keeps the reads of touch from being removed
}

const (
	second         = int64(1e9)
	closedIdle     = second / 2
	openIdle       = 7500 * second
	wheelSlots     = 64
	wheelReach     = wheelSlots - 2 // seconds ahead that a flow can be put
	firstTableSize = 1 << 12
)

// NewTable returns an empty table that hands each flow to sink when it has ended.
func NewTable(sink func(*Flow), opts Options) *Table {
	if opts.Room == 0 {
		opts.Room = DefaultRoom
	}
	t := &Table{
		sink: sink, opts: opts, totals: Totals{Retransmitted: map[netip.Addr]uint64{}},
		chains: make([]*Flow, firstTableSize), secret: rand.Uint64(),
		halfOpen: line{limit: 1 << 16, idle: 150 * second},
		closed:   line{limit: 1 << 12, idle: 60 * second},
	}
	t.halfOpen.init()
	t.closed.init()
	for i := range t.wheel {
		t.wheel[i].init()
	}
	return t
}

// Totals returns the sums over all flows that have ended.
func (t *Table) Totals() Totals { return t.totals }

// Flush ends every flow that is still alive, in the order of their first packets.
func (t *Table) Flush() {
	all := make([]*Flow, 0, t.alive)
	for _, f := range t.chains {
		for ; f != nil; f = f.chain {
			all = append(all, f)
		}
	}
	slices.SortFunc(all, func(a, b *Flow) int { return int(int64(a.order - b.order)) })
	for _, f := range all {
		t.end(f)
	}
}

// Add counts one packet. Packets that are neither TCP nor an ICMP error are counted in the totals
// and otherwise ignored.
func (t *Table) Add(p *packet.Packet) {
	var w whereabouts
	if p.Kind == packet.TCP {
		w.look(t, p)
	}
	t.add(p, &w)
}

// add counts one packet, of which w says where its flow was.
func (t *Table) add(p *packet.Packet, w *whereabouts) {
	t.totals.Packets++
	// The table's clock never goes back: a step of the capture's must not end flows that are in use.
	if p.Time > t.now {
		t.now = p.Time
		if t.now/second > t.turned {
			t.turn(t.now / second)
		}
	}
	switch p.Kind {
	case packet.TCP:
		t.totals.TCPPackets++
		t.tcp(p, w)
	case packet.ICMP, packet.ICMPv6:
		t.icmp(p)
	}
}

// icmp joins an ICMP error to the flow that it quotes.
func (t *Table) icmp(p *packet.Packet) {
	q := &p.Quoted
	if q.Proto != 6 {
		return
	}
	var k key
	fromHigh := k.set(&q.Src, &q.Dst, q.SrcPort, q.DstPort, p.V6)
	f := t.find(&k, k.hash(t.secret))
	if f == nil {
		return
	}
	f.ICMPErrors++
	f.ICMPError, f.ICMPFrom = uint16(p.ICMPType)<<8|uint16(p.ICMPCode), p.Src.Netip(p.V6)
	t.emit(f, p, Event{
		Kind: EventICMPError, Side: f.side(fromHigh), Seq: q.Seq,
		Value: int64(p.ICMPType)<<8 | int64(p.ICMPCode),
	})
}

// tcp finds or begins the flow of a segment and hands it over.
func (t *Table) tcp(p *packet.Packet, w *whereabouts) {
	t.makeRoom()
	f := w.flow
	// What was seen may have ended since, and its memory may be another flow's.
	if f == nil || f.hash != w.hash || f.key != w.key {
		f = t.find(&w.key, w.hash)
	}
	if f != nil && f.replacedBy(p, w.fromHigh) {
		t.end(f)
		f = t.begin(&w.key, w.hash, p, w.fromHigh)
		f.PortReuse = true
	} else if f == nil {
		f = t.begin(&w.key, w.hash, p, w.fromHigh)
	}
	t.segment(f, f.side(w.fromHigh), p)
	t.account(f, p)
}

// find returns the live flow with the key.
func (t *Table) find(k *key, hash uint64) *Flow {
	f := t.chains[hash&uint64(len(t.chains)-1)]
	for f != nil && (f.hash != hash || f.key != *k) {
		f = f.chain
	}
	return f
}

// begin starts a flow with its first packet.
func (t *Table) begin(k *key, hash uint64, p *packet.Packet, fromHigh bool) *Flow {
	if 2*t.alive >= len(t.chains) {
		t.grow()
	}
	f := t.flows.get()
	f.begin(k, hash, p, fromHigh)
	f.order, f.seen = t.order, t.now
	t.order++
	slot := hash & uint64(len(t.chains)-1)
	f.chain, t.chains[slot] = t.chains[slot], f
	t.alive++
	t.totals.PeakFlows = max(t.totals.PeakFlows, t.alive)
	if f.Midstream {
		t.schedule(f)
	} else {
		t.enter(&t.halfOpen, f)
	}
	return f
}

// grow doubles the hash table.
func (t *Table) grow() {
	old := t.chains
	t.chains = make([]*Flow, 2*len(old))
	for _, f := range old {
		for f != nil {
			next := f.chain
			slot := f.hash & uint64(len(t.chains)-1)
			f.chain, t.chains[slot] = t.chains[slot], f
			f = next
		}
	}
}

// Forget drops the flow of a TCP packet, if there is one: it has turned out to be another flow with
// translated addresses.
func (t *Table) Forget(p *packet.Packet) {
	var w whereabouts
	w.look(t, p)
	if f := t.find(&w.key, w.hash); f != nil {
		t.remove(f)
		f.reset(t)
		t.flows.put(f)
	}
}

// end finishes a flow, hands it to the sink and takes it back into the pool.
func (t *Table) end(f *Flow) {
	// Out of the table first, so that a sink that panics leaves no half-ended flow behind.
	t.remove(f)
	f.finish()
	t.totals.flow(f)
	t.sink(f)
	f.reset(t)
	t.flows.put(f)
}

// remove takes a flow out of the table.
func (t *Table) remove(f *Flow) {
	link := &t.chains[f.hash&uint64(len(t.chains)-1)]
	for *link != f {
		link = &(*link).chain
	}
	*link = f.chain
	t.alive--
	t.lists -= f.lists
	t.leave(f)
}
