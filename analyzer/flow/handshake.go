package flow

import "github.com/spikebox/spikebox/analyzer/packet"

// maxSent bounds the transmissions that are listed; Linux makes at most 17 or so.
const maxSent = 64

// syn follows a SYN or SYN-ACK.
func (t *Table) syn(f *Flow, s Side, p *packet.Packet) {
	x := &f.Dirs[s]
	if x.hasISN && x.isn != p.Seq && !x.queue.empty() {
		return // neither a repetition nor a beginning: data is outstanding
	}
	// Another number from the same side is a server that has forgotten the first SYN: SYN cookies,
	// whose number changes with the minute, or a listener whose queue had overflowed.
	fresh := !x.hasISN || x.isn != p.Seq
	switch {
	case !fresh && f.sameAgain(s, p):
		t.duplicate(f, s, p)
		return
	case fresh:
		x.begin(p.Seq+1, t)
		x.isn, x.hasISN = p.Seq, true
		x.announce(p)
	}
	if f.refused = false; f.closed {
		f.closed = false
		t.enter(&t.halfOpen, f)
	}
	h := &f.Handshake
	sent := Sent{Time: p.Time, Frame: p.Frame, Input: p.Input, ts: p.TSval, id: p.IPID}
	f.negotiate()
	switch answer := p.Flags&packet.ACK != 0; {
	case answer && s == Server:
		sent.Answered, sent.Asked, sent.Taken = h.AckTime != 0, h.asked(), h.taken(f.C2S(), p)
		sent.Fed = sent.Answered && f.C2S().Bytes > 0
		t.transmission(f, s, p, sent, &h.SYNACKs, &h.SYNACKRetransmits)
		h.serverRTT(f, p)
	case !answer && s == Client:
		sent.Answered, sent.Reset = len(h.SYNACKs) > 0, f.resetSYN
		t.transmission(f, s, p, sent, &h.SYNs, &h.SYNRetransmits)
		f.resetSYN = false
	default:
		// Both sides open at once: the server has sent a SYN of its own, and the client answers it. These
		// are no repetitions of what the sides send otherwise.
		h.Simultaneous = true
		t.countSYN(f, s, p, h.crossed[s], false)
		h.crossed[s]++
		if s == Server {
			h.crossedTime = p.Time
		}
	}
}

// sameAgain reports whether a repeated SYN or SYN-ACK is the last one once more, as in a capture that was merged of two hosts', whose
// clocks differ: sooner than any timer, and not numbered anew. A SYN-ACK may well follow at once, for a SYN that came twice: only
// where the SYN was a copy is it one.
func (f *Flow) sameAgain(s Side, p *packet.Packet) bool {
	h := &f.Handshake
	list := h.SYNs
	switch {
	case p.Flags&packet.ACK != 0 && s == Server && f.C2S().CaptureDuplicates > 0 && h.SYNRetransmits == 0:
		list = h.SYNACKs
	case p.Flags&packet.ACK != 0 || s != Client:
		return false
	}
	if len(list) == 0 {
		return false
	}
	last := &list[len(list)-1]
	age := p.Time - last.Time
	return p.IPID == last.id && max(age, -age) < shortestSYN
}

// shortestSYN is sooner than any system's first timeout of a SYN, which is 300 ms at least (Windows' InitialRto) and a second on Linux.
const shortestSYN = 100_000_000 // ns

// begin sets where the numbering of a side starts.
func (x *Direction) begin(seq uint32, t *Table) {
	if !x.queue.empty() {
		x.queue.pop(len(x.queue.live()), &t.slabs)
	}
	x.started = true
	x.base, x.next, x.una = seq, seq, seq
	x.past, x.forgot = x.past[:0], false
	x.backoff, x.recovery, x.sacked, x.alarm = 0, NoMechanism, false, false
}

// announce takes the options of a SYN or SYN-ACK.
func (x *Direction) announce(p *packet.Packet) {
	x.MSS = p.MSS
	x.optsCut = p.Opts&packet.OptTruncated != 0
	x.SACKPermitted = p.Opts&packet.OptSACKOK != 0
	x.WScale = -1
	if p.Opts&packet.OptWScale != 0 {
		x.WScale = int8(p.WScale)
	}
	x.hasEdge = false
}

// transmission adds one SYN or SYN-ACK to the list of its kind, and counts it in again unless it is the
// first.
func (t *Table) transmission(f *Flow, s Side, p *packet.Packet, sent Sent, list *[]Sent, again *uint32) {
	before := uint32(0)
	if len(*list) > 0 {
		*again++
		before = *again
	}
	t.countSYN(f, s, p, before, sent.Answered)
	if len(*list) < maxSent {
		*list = append(*list, sent)
	}
}

// countSYN counts a SYN or SYN-ACK of which so many were sent before. One after the first is a
// retransmission, which the kernel counts in RetransSegs: the SYN by its timer, the SYN-ACK by its
// timer or because the SYN came again (tcp_rtx_synack, Linux 6.18).
func (t *Table) countSYN(f *Flow, s Side, p *packet.Packet, before uint32, answered bool) {
	x := &f.Dirs[s]
	e := Event{Kind: EventSYN, Side: s, Seq: p.Seq, Value: int64(before) + 1}
	if before > 0 {
		e.Mechanism = Timeout
		x.Retransmits++
		x.RetransmitsTimeout++
		x.MaxBackoff = max(x.MaxBackoff, uint8(min(before, 255)))
		if answered {
			x.RetransmitsSpurious++
		}
	}
	t.emit(f, p, e)
}

// asked reports whether a SYN has been repeated since the last SYN-ACK.
func (h *Handshake) asked() bool {
	if len(h.SYNs) < 2 || len(h.SYNACKs) == 0 {
		return false
	}
	syn, synack := &h.SYNs[len(h.SYNs)-1], &h.SYNACKs[len(h.SYNACKs)-1]
	if syn.Input == synack.Input {
		return syn.Frame > synack.Frame
	}
	return syn.Time >= synack.Time
}

// taken reports whether a SYN-ACK echoes the timestamp of the client's ACK and of none of its SYNs: the
// server's TCP has seen the ACK (tcp_check_req takes ts_recent from it before anything else can go
// wrong, net/ipv4/tcp_minisocks.c, Linux 6.18), so that no firewall dropped it.
func (h *Handshake) taken(client *Direction, p *packet.Packet) bool {
	if h.AckTime == 0 || p.Opts&packet.OptTS == 0 || !client.stamped {
		return false
	}
	for i := range h.SYNs {
		if !after(p.TSecr, h.SYNs[i].ts) {
			return false
		}
	}
	return !after(p.TSecr, client.tsMax)
}

// serverRTT measures from SYN to SYN-ACK. After a repeated SYN only a timestamp tells which of them
// was answered (Karn's rule, RFC 6298 §3).
func (h *Handshake) serverRTT(f *Flow, p *packet.Packet) {
	if len(h.SYNACKs) == 1 && h.ServerRTT < 0 {
		h.ServerRTT = answered(h.SYNs, p)
		f.Dirs[Client].estimate(h.ServerRTT)
	}
}

// clientRTT measures from SYN-ACK to the ACK that p is, or from the server's own SYN where both sides
// opened at once; of several nobody knows which was answered.
func (h *Handshake) clientRTT(p *packet.Packet) int64 {
	switch h.crossed[Server] {
	case 0:
		return answered(h.SYNACKs, p)
	case 1:
		return max(p.Time-h.crossedTime, -1)
	}
	return -1
}

// finalAck measures from SYN-ACK to the ACK that completes the handshake.
func (t *Table) finalAck(f *Flow, p *packet.Packet) {
	h := &f.Handshake
	h.AckTime, h.AckFrame, h.Completed = p.Time, p.Frame, true
	if p.Ack == f.S2C().isn+1 && p.Payload == 0 && p.Flags&packet.FIN == 0 {
		// Otherwise the ACK that completed the handshake was not captured, only a later one.
		h.ClientRTT = h.clientRTT(p)
		f.Dirs[Server].estimate(h.ClientRTT)
	}
	if !f.closed {
		t.schedule(f)
	}
	t.emit(f, p, Event{Kind: EventEstablished, Side: Client, Seq: p.Seq, Value: h.RTT()})
}

// answered returns the ns from the transmission that p answers to p, -1 when it is not to be told.
func answered(sent []Sent, p *packet.Packet) int64 {
	if len(sent) == 1 {
		return max(p.Time-sent[0].Time, -1)
	}
	if p.Opts&packet.OptTS == 0 || p.TSecr == 0 {
		return -1
	}
	for i := range sent {
		if sent[i].ts == p.TSecr {
			return max(p.Time-sent[i].Time, -1)
		}
	}
	return -1
}

// answersSYN reports whether a RST answers a SYN of x: it acknowledges it, or data that came with it;
// whatever else comes before a SYN-ACK a client must not believe (RFC 9293 §3.10.7.3).
func answersSYN(x *Direction, p *packet.Packet) bool {
	return p.Flags&packet.ACK != 0 && after(p.Ack, x.isn) && !after(p.Ack, x.next)
}

// rst follows a segment that resets the connection.
func (t *Table) rst(f *Flow, s Side, p *packet.Packet) {
	x := &f.Dirs[s]
	x.Resets++
	state := f.state()
	if state == StateSynSent && s == Server && answersSYN(f.C2S(), p) {
		f.resetSYN = true
	}
	t.emit(f, p, Event{Kind: EventReset, Side: s, Seq: p.Seq, Value: int64(state)})
	// The first RST decides. Those that follow answer what was still on its way, and a refused SYN may
	// be sent again and be answered.
	if state == StateSynSent && s == Server {
		f.refused = true
		f.EndTime, f.EndFrame = p.Time, p.Frame
		f.ResetState = max(f.ResetState, state)
	} else if f.ResetState == StateNone || f.ResetState == StateSynSent {
		f.ResetState = state
		f.ResetTook = p.Flags&packet.ACK != 0 && !before(p.Ack, f.Dirs[s.Other()].next)
		f.EndTime, f.EndFrame = p.Time, p.Frame
		f.Foreign = x.foreign(p)
		f.End = ResetByClient
		if s == Server {
			f.End = ResetByServer
		}
	}
	if !f.closed {
		t.close(f)
	}
}

// state returns the state of the connection.
func (f *Flow) state() State {
	h := &f.Handshake
	c, s := f.C2S(), f.S2C()
	switch {
	case c.Fins > 0 && s.Fins > 0 && c.una == c.next && s.una == s.next:
		return StateClosed
	case c.Fins > 0 || s.Fins > 0:
		return StateClosing
	case h.Completed || f.Midstream && len(h.SYNACKs) == 0:
		return StateEstablished
	case len(h.SYNACKs) > 0:
		return StateSynReceived
	}
	return StateSynSent
}
