package flow

import (
	"net/netip"

	"github.com/spikebox/spikebox/analyzer/packet"
)

// engine is what a table keeps of a live flow beside its results. What every packet needs comes
// first: the fewer cache lines a packet touches, the more flows there is room for.
type engine struct {
	hash  uint64
	key   key
	chain *Flow // next in the hash chain
	seen  int64 // the table's time at the last packet; unlike Last, it never goes back
	line  *line // the line that this list is; nil when it is a slot of the wheel
	until int64 // Unix ns of the next beat, see Options.Beat

	clientHigh bool // the client is the higher end of the key
	closed     bool // both sides have closed, or one has reset
	resetSYN   bool // the last SYN was answered by a RST
	stepped    bool // time went back in this flow
	refused    bool // the last answer to a SYN was a RST
	asking     bool // the client has sent a request that the server has not begun to answer
	reports    bool // it has gone on after a pause since: see goesOn
	lastSide   Side
	requestEnd int64

	lists, sents int64 // bytes of its lists, and those of SYNs and FINs among them, as accounted
}

// links are the places of a live flow among others.
type links struct {
	order      uint64 // flows by their first packet
	prev, next *Flow  // neighbours in the list that will end it
}

// half is what a table keeps of one side of a live flow, what every packet needs first.
type half struct {
	queue // what this side sent and the peer has not acknowledged

	// Sequence numbers. The tap sees what was sent and what was acknowledged, in this order or, with
	// packets missing or the tap near the receiver, in another: next is the later of the two.
	next uint32 // end of what was seen or acknowledged (snd.nxt at the tap)
	una  uint32 // highest acknowledgement by the peer
	// The window that this side offers as a receiver.
	window    uint32 // that this side offers, scaled
	edge      uint32 // right edge of that window
	windowID  uint16 // IP identification of the packet that offered it
	shift     uint8  // scale of the windows that this side offers
	hasEdge   bool
	shrinking bool // the last packet had its right edge further left
	zero      bool // it offers no room
	full      bool // this side has filled the peer's window

	started bool // next and una are valid
	hasISN  bool // this side's SYN or SYN-ACK was seen
	optsCut bool // without all of its options: the capture has only the begin of packets
	acked   bool // the peer has acknowledged something
	stamped bool // tsMax is valid
	// What orders the packets of this side in time.
	ids   ipids
	tsMax uint32
	// What the peer has reported about losses, and what this side does about them.
	dupAcks   uint8     // by the peer, since una last moved
	sacked    bool      // sackHigh is valid: the peer has reported a gap that is still open
	alarm     bool      // the peer reported a loss, or this side repaired one, up to alarmUntil
	alarmed   bool      // likewise, and nothing was sent in order since
	recovery  Mechanism // that is going on
	recovered Mechanism // of the recovery that ended, until new data is sent
	backoff   uint8
	forgot    bool // past has overflowed: there were more

	ttlLow, ttlHigh       uint8  // of this side's packets but RSTs, 0 without any
	ttlAt                 int64  // Unix ns of the last of them
	windowLow, windowHigh uint16 // of those and but SYNs, as they are in the header

	recentAt uint8
	recent   [8]print // fingerprints of the last packets

	windowTime int64 // Unix ns of the packet that offered the window
	ackTime    int64 // Unix ns of the peer's last ACK that could make this side send again
	sentTime   int64 // Unix ns of the last data
	heard      int64 // Unix ns of this side's last packet
	srtt       int64 // ns, smoothed as RFC 6298 does; 0 unknown
	rttMin     int64 // ns
	promptRTT  int64 // ns, the last that no program can have drawn out; 0 unknown
	trip       trip  // to the peer, for the mechanism of what it sends again

	// Rarely needed.
	told         uint64    // of Bytes, see Fresh
	isn          uint32    // initial sequence number
	base         uint32    // first sequence number that the capture can know about
	zeroSince    int64     // Unix ns
	zeroProbed   bool      // this side sent a probe of one byte, which may have been taken as data
	past         []segment // acknowledged holes and retransmissions, newest last, at most maxPast
	sackHigh     uint32
	recoverUntil uint32
	alarmUntil   uint32
	backoffSeq   uint32
	repeatedSeq  uint32 // of the oldest outstanding segment that was sent again
	repeatedTime int64  // Unix ns of when it was for the first time
}

// print is the fingerprint of a packet, to recognise a second copy of it. It is small because every
// packet looks at several.
type print struct {
	sum    uint32
	time   uint32 // µs, modulo 2^32
	iface  uint16
	copies uint8
}

// begin sets up a flow by its first packet.
func (f *Flow) begin(k *key, hash uint64, p *packet.Packet, fromHigh bool) {
	f.key, f.hash = *k, hash
	f.First, f.FirstFrame, f.Input = p.Time, p.Frame, p.Input
	f.Interface, f.VLAN = p.Interface, p.VLAN
	f.Last = p.Time
	f.clientHigh = clientIsHigh(k, p, fromHigh)
	f.Midstream = p.Flags&packet.SYN == 0
	f.Handshake.ServerRTT, f.Handshake.ClientRTT = -1, -1
	low := netip.AddrPortFrom(k.low.addr().Netip(k.v6), k.lowPort)
	high := netip.AddrPortFrom(k.high.addr().Netip(k.v6), k.highPort)
	f.Client, f.Server = low, high
	if f.clientHigh {
		f.Client, f.Server = high, low
	}
	for i := range f.Dirs {
		f.Dirs[i].WScale = -1
	}
}

// clientIsHigh decides which end is the client: who sent the SYN; without one, the lower port is
// the server's, and of equal ports the one that was sent to first.
func clientIsHigh(k *key, p *packet.Packet, fromHigh bool) bool {
	switch {
	case p.Flags.Has(packet.SYN | packet.ACK):
		return !fromHigh
	case p.Flags&packet.SYN != 0 || k.lowPort == k.highPort:
		return fromHigh
	}
	return k.highPort > k.lowPort
}

// side returns the side of a packet from the higher or lower end of the key.
func (f *Flow) side(fromHigh bool) Side {
	if fromHigh == f.clientHigh {
		return Client
	}
	return Server
}

// replacedBy reports whether p begins a new connection between the same ends: a SYN with another
// initial sequence number. The repetition of a SYN has the same.
func (f *Flow) replacedBy(p *packet.Packet, fromHigh bool) bool {
	if p.Flags&(packet.SYN|packet.ACK|packet.RST) != packet.SYN {
		return false
	}
	d := &f.Dirs[f.side(fromHigh)]
	if d.hasISN {
		// A retransmitted SYN repeats its number. A new connection takes one that is larger than any
		// the old one used (RFC 6191, RFC 9293 §3.4.1), so equal numbers mean the same SYN.
		return d.isn != p.Seq
	}
	if f.Midstream {
		// The SYN of this very flow may have been captured after its first data.
		return !d.started || d.base != p.Seq+1
	}
	return d.Packets > 0 // otherwise both sides open at once (RFC 9293 §3.5)
}

// segment follows one TCP segment sent by the given side.
func (t *Table) segment(f *Flow, s Side, p *packet.Packet) {
	x, y := &f.Dirs[s], &f.Dirs[s.Other()]
	if p.Time > f.until && t.opts.Beat != nil {
		f.until = t.opts.Beat(f, p.Time)
	}
	// Counted before anything is judged: packets and bytes are those of the capture, whatever they
	// turn out to be, so that they agree with every other program.
	f.stepped = f.stepped || p.Time < f.Last
	f.Last, f.LastFrame = p.Time, p.Frame
	f.seen = t.now
	if f.line != nil {
		t.enter(f.line, f)
	}
	x.Packets++
	x.Bytes += uint64(p.Payload)
	x.Segments += x.segments(y, p)
	if p.Opts != 0 {
		f.options(x, p)
	}
	// A second copy must not act: it would look like a duplicate ACK or a retransmission.
	if x.copied(f, s, p) {
		t.duplicate(f, s, p)
		return
	}
	f.lastSide = s
	x.hears(p)
	if p.Flags&(packet.SYN|packet.RST) != 0 {
		if p.Flags&packet.RST != 0 {
			t.rst(f, s, p)
			return
		}
		t.syn(f, s, p)
	}
	// The acknowledgement first: whether the data in the same packet answers a request depends on it.
	if p.Flags&packet.ACK != 0 {
		t.ack(f, s, p)
	}
	if p.Payload > 0 || p.Flags&packet.FIN != 0 {
		t.data(f, s, p)
	} else if p.Flags&packet.SYN == 0 {
		t.bare(f, s, p)
	}
	if p.Opts&packet.OptTS != 0 && (!x.stamped || after(p.TSval, x.tsMax)) {
		x.tsMax, x.stamped = p.TSval, true
		if p.Flags&packet.SYN == 0 {
			x.trip.begin(p)
		}
	}
}

// options notes what options say about the flow.
func (f *Flow) options(x *Direction, p *packet.Packet) {
	if p.Opts&packet.OptTS != 0 {
		x.HasTS = true
	}
	if p.Opts&^packet.OptTS == 0 {
		return
	}
	f.Truncated = f.Truncated || p.Opts&packet.OptTruncated != 0
	f.TFO = f.TFO || p.Opts&packet.OptTFO != 0
	f.MPTCP = f.MPTCP || p.Opts&packet.OptMPTCP != 0
}

// segments returns how many segments the kernel counts in a frame: a frame longer than the maximum
// segment size will be cut by the NIC, or was merged by it.
func (x *Direction) segments(y *Direction, p *packet.Packet) uint32 {
	if p.Payload == 0 {
		return 1
	}
	size := x.segmentSize(y, p)
	if p.Payload <= size {
		return 1
	}
	return (p.Payload + size - 1) / size
}

// segmentSize is the most payload that a segment with these options carries: what the peer has
// announced less the options (RFC 6691), or Ethernet's when the handshake was not captured.
func (x *Direction) segmentSize(y *Direction, p *packet.Packet) uint32 {
	mss := uint32(y.MSS)
	if mss == 0 {
		mss = 1460
		if p.V6 {
			mss = 1440
		}
	}
	options := uint32(p.HeaderLen) - 20
	if p.NSACK > 0 {
		// The size is computed for the usual options; SACK blocks come on top only here.
		options = 12 * uint32(p.Opts&packet.OptTS/packet.OptTS)
	}
	return max(mss-min(options, mss), 1)
}

// emit sends an event to whoever listens.
func (t *Table) emit(f *Flow, p *packet.Packet, e Event) {
	if t.opts.Events == nil {
		return
	}
	t.event = e
	t.event.Flow, t.event.Time, t.event.Frame, t.event.Input = f, p.Time, p.Frame, p.Input
	t.opts.Events(&t.event)
}

// reset takes the memory of a flow back and makes it empty.
func (f *Flow) reset(t *Table) {
	f.think.Reset(&t.histograms)
	// The lists of the handshake and of each side stay with the flow, so that the next one does not
	// allocate them.
	syns, synacks := emptied(f.Handshake.SYNs), emptied(f.Handshake.SYNACKs)
	var past [2][]segment
	var fins [2][]Sent
	for i := range f.Dirs {
		d := &f.Dirs[i]
		d.rtt.Reset(&t.histograms)
		t.slabs.put(d.queue.list)
		past[i], fins[i] = d.past[:0], emptied(d.FINs)
	}
	*f = Flow{}
	f.Handshake.SYNs, f.Handshake.SYNACKs = syns, synacks
	for i := range f.Dirs {
		f.Dirs[i].past, f.Dirs[i].FINs = past[i], fins[i]
	}
}

// emptied gives the memory of a list to the next flow, unless it is an odd one's: those would add up.
func emptied(list []Sent) []Sent {
	if cap(list) > 8 {
		return nil
	}
	return list[:0]
}

// finish sets the results that depend on the whole flow.
func (f *Flow) finish() {
	h := &f.Handshake
	h.schedule()
	h.SYNACKsLost = h.SYNRetransmits > 0 && h.SYNACKRetransmits > 0 && h.AckTime == 0
	c, s := f.C2S(), f.S2C()
	f.End = f.ending()
	// A SYN that nobody answered is not half a capture: there was nothing else to capture.
	f.OneSided = (c.Packets == 0 || s.Packets == 0) && f.End != Unanswered
	for i := range f.Dirs {
		d := &f.Dirs[i]
		if d.zero {
			d.ZeroWindowTime += max(f.Last-d.zeroSince, 0) // the clock may have been set back
		}
	}
}

// ending says how the flow ended.
func (f *Flow) ending() End {
	c, s := f.C2S(), f.S2C()
	switch {
	case f.refused:
		return Refused
	case f.ResetState != StateNone && f.ResetState != StateClosed:
		return f.End
	case c.Fins > 0 && s.Fins > 0:
		return Fin
	case s.Packets == 0 && len(f.Handshake.SYNs) > 0 && c.Distinct() == uint32(len(f.Handshake.SYNs)):
		return Unanswered
	}
	return Open
}

// copied reports whether the capture holds p a second time: the same header, IP identification
// included, within a millisecond. Where the sender does not number its packets, a repetition that
// came at once could be meant, unless it takes sequence space and nothing came from the peer
// since, it was captured on another interface, it is a SYN, whose timer no system has run so soon, or
// the capture holds this connection's packets twice anyway.
func (x *Direction) copied(f *Flow, s Side, p *packet.Packet) bool {
	sum, now := fingerprint(p), uint32(p.Time/1000)
	for i := range x.recent {
		r := &x.recent[i]
		if r.sum != sum || now-r.time > copyWithin/1000 {
			continue
		}
		numbered := !p.V6 && p.IPID != 0
		if numbered || r.iface != p.Interface || p.SeqLen() > 0 && f.lastSide == s && !f.answersTwice(p) ||
			p.Flags&(packet.SYN|packet.ACK) == packet.SYN || r.copies < f.doubled() {
			r.copies = min(r.copies, 254) + 1
			return true
		}
	}
	x.recent[int(x.recentAt)%len(x.recent)] = print{sum: sum, time: now, iface: p.Interface}
	x.recentAt++
	return false
}

// doubled is how often the capture holds each packet of the connection beside the first time, as on a bridge and its ports (tcpdump -i
// any); 0 where it does not. A sender may well repeat a packet within a millisecond, so that no more copies than usual are taken for such.
// Those of the last packets are still to come: the interrupt of a card hands on eight at once (net.core.gro_normal_batch).
func (f *Flow) doubled() uint8 {
	const outstanding = 8
	c, s := f.C2S(), f.S2C()
	copies := c.CaptureDuplicates + s.CaptureDuplicates
	all := c.Packets + s.Packets // the packet that is asked about among them
	if originals := all - copies; copies > 0 && 3*(copies+outstanding) >= all {
		return uint8(min((copies+originals-1)/originals, 255))
	}
	return 0
}

// answersTwice reports whether p is a SYN-ACK that may well follow an equal one at once: when the
// client has repeated its SYN, one comes by the timer and one in answer, and Linux numbers neither.
func (f *Flow) answersTwice(p *packet.Packet) bool {
	return p.Flags.Has(packet.SYN|packet.ACK) && f.Handshake.SYNRetransmits > 0
}

// fingerprint folds the header fields that two packets of one flow rarely share. It is not 0.
func fingerprint(p *packet.Packet) uint32 {
	h := mix(uint64(p.Seq)<<32|uint64(p.Ack), uint64(p.TSval)<<32|uint64(p.TSecr))
	h = mix(h, uint64(p.Payload)<<40^uint64(p.IPID)<<24^uint64(p.Window)<<8^uint64(p.Flags))
	if p.NSACK > 0 {
		h = mix(h, uint64(p.SACKs[0].Left)<<32|uint64(p.SACKs[0].Right))
	}
	return uint32(h>>32) | 1
}
