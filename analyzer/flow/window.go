package flow

import "github.com/spikebox/spikebox/analyzer/packet"

// scaled returns the window that a packet of this side offers, in bytes.
func (x *Direction) scaled(p *packet.Packet) uint32 {
	if p.Flags&packet.SYN != 0 {
		return uint32(p.Window)
	}
	return uint32(p.Window) << x.shift
}

// negotiate sets the scales once both sides have offered one (RFC 7323 §2.2).
func (f *Flow) negotiate() {
	c, s := f.C2S(), f.S2C()
	if c.WScale >= 0 && s.WScale >= 0 {
		c.shift, s.shift = uint8(c.WScale), uint8(s.WScale)
	}
}

// scaleKnown reports whether the windows of both sides can be told: the handshake was captured, with its options.
func (f *Flow) scaleKnown() bool {
	c, s := f.C2S(), f.S2C()
	return c.hasISN && s.hasISN && !c.optsCut && !s.optsCut
}

// window follows the receive window in a packet that side s sent, which is not an old one.
func (t *Table) window(f *Flow, s Side, p *packet.Packet) {
	x, y := &f.Dirs[s], &f.Dirs[s.Other()]
	if f.outdated(s, p) {
		return
	}
	win := x.scaled(p)
	edge := p.Ack + win
	if p.Flags&packet.SYN != 0 {
		x.window, x.edge, x.hasEdge = win, edge, true
		return
	}
	if x.hasEdge && f.scaleKnown() {
		t.shrink(f, s, p, int32(x.edge-edge))
	}
	// The edge kept is the rightmost, so that one late packet neither counts as shrinking nor lets the
	// next one look like growth.
	if !x.hasEdge || after(edge, x.edge) {
		y.full = false
		x.edge, x.hasEdge = edge, true
	}
	x.window, x.windowID, x.windowTime = win, p.IPID, p.Time
	if (win == 0) == x.zero {
		return
	}
	if x.zero = win == 0; x.zero {
		x.ZeroWindows++
		x.zeroSince = p.Time
		t.emit(f, p, Event{Kind: EventZeroWindow, Side: s, Seq: p.Ack})
		return
	}
	closed := max(p.Time-x.zeroSince, 0)
	x.ZeroWindowTime += closed
	t.emit(f, p, Event{Kind: EventWindowOpen, Side: s, Seq: p.Ack, Value: closed})
}

// outdated reports whether timestamp or IP identification say that a packet of side s came after one
// that was sent later: its window is out of date.
func (f *Flow) outdated(s Side, p *packet.Packet) bool {
	x := &f.Dirs[s]
	if x.old(p) {
		return true
	}
	back := int16(p.IPID - x.windowID)
	return back < 0 && back > -1024 && p.IPID != 0 && x.windowID != 0 && !f.tooLate(p.Time-x.windowTime)
}

// shrink notes that the right edge lies by bytes left of where it was. It counts when that is more
// than the rounding of the scaled window (RFC 7323 §2.4) and the next packet confirms it, for a
// single one may have been overtaken. Modern kernels no longer log it.
func (t *Table) shrink(f *Flow, s Side, p *packet.Packet, by int32) {
	x := &f.Dirs[s]
	if by <= 0 || by < 1<<x.shift {
		x.shrinking = false
		return
	}
	if !x.shrinking {
		x.shrinking = true
		return
	}
	x.shrinking = false
	x.edge -= uint32(by)
	x.WindowShrunk++
	t.emit(f, p, Event{Kind: EventWindowShrunk, Side: s, Seq: p.Ack, Value: int64(by)})
}

// fills notes that data of side s reached the right edge of the peer's window.
func (t *Table) fills(f *Flow, s Side, p *packet.Packet, end uint32) {
	x, y := &f.Dirs[s], &f.Dirs[s.Other()]
	if x.full || !y.hasEdge || !f.scaleKnown() || before(end, y.edge) {
		return
	}
	x.full = true
	x.WindowFull++
	t.emit(f, p, Event{Kind: EventWindowFull, Side: s, Seq: end})
}

// bare follows a segment without data of side s: a keep-alive or window probe when it lies one byte
// before what the peer expects. Linux probes a closed window so (tcp_xmit_probe_skb, 6.18).
func (t *Table) bare(f *Flow, s Side, p *packet.Packet) {
	x := &f.Dirs[s]
	if !x.started {
		// A pure ACK carries the number of the next byte: numbering begins there.
		x.started = true
		x.base, x.next, x.una = p.Seq, p.Seq, p.Seq
		return
	}
	if p.Flags&packet.ACK == 0 || !x.asksAgain(p) || x.old(p) {
		return
	}
	t.probe(f, s, p)
}

// asksAgain reports whether a segment of this side lies one byte before what the peer expects.
func (x *Direction) asksAgain(p *packet.Packet) bool { return x.acked && p.Seq == x.una-1 }

// old reports whether the timestamp says that a packet of this side was overtaken by later ones.
func (x *Direction) old(p *packet.Packet) bool {
	return x.stamped && p.Opts&packet.OptTS != 0 && before(p.TSval, x.tsMax)
}

// probe counts a window probe, or a keep-alive when the peer's window is open (RFC 1122 §4.2.3.6).
func (t *Table) probe(f *Flow, s Side, p *packet.Packet) {
	x, y := &f.Dirs[s], &f.Dirs[s.Other()]
	if y.zero {
		x.WindowProbes++
		t.emit(f, p, Event{Kind: EventWindowProbe, Side: s, Seq: p.Seq, Len: p.Payload})
		return
	}
	x.KeepAlives++
	t.emit(f, p, Event{Kind: EventKeepAlive, Side: s, Seq: p.Seq, Len: p.Payload})
}

// probing reports whether a segment with one byte is a probe and not data: the byte before what the
// peer expects while all is acknowledged (keep-alives of old stacks), or the byte at the edge of a
// closed window (RFC 9293 §3.8.6.1).
func (f *Flow) probing(s Side, p *packet.Packet) bool {
	x, y := &f.Dirs[s], &f.Dirs[s.Other()]
	if p.Payload != 1 || p.Flags&(packet.FIN|packet.SYN) != 0 || !x.started || !x.acked {
		return false
	}
	if p.Seq == x.una-1 && x.una == x.next {
		return !x.old(p)
	}
	return y.zero && p.Seq == x.una
}
