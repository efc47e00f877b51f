package flow

import (
	"time"

	"github.com/spikebox/spikebox/analyzer/packet"
)

// data follows a segment of side s with payload or FIN.
func (t *Table) data(f *Flow, s Side, p *packet.Packet) {
	x := &f.Dirs[s]
	if f.probing(s, p) {
		x.zeroProbed = true
		t.probe(f, s, p)
		return
	}
	seq := p.Seq
	if p.Flags&packet.SYN != 0 {
		seq++ // data on a SYN: fast open (RFC 7413)
	}
	end := seq + p.Payload
	if p.Flags&packet.FIN != 0 {
		end++
		t.fin(f, s, p)
	}
	if !x.started {
		x.started = true
		x.base, x.next, x.una = seq, seq, seq
	}
	x.pieceSize = x.segmentSize(&f.Dirs[s.Other()], p)
	// In order, nearly always; after a gap; or, all that is interesting, below what was sent.
	switch {
	case seq == x.next:
		x.alarmed = false
		t.fresh(f, s, p, seq, end)
	case after(seq, x.next):
		t.gap(f, s, p, seq)
		t.fresh(f, s, p, seq, end)
	default:
		t.again(f, s, p, seq, end)
	}
	x.sentTime = p.Time
	t.fills(f, s, p, end)
}

// fin follows a FIN.
func (t *Table) fin(f *Flow, s Side, p *packet.Packet) {
	x := &f.Dirs[s]
	x.Fins++
	if len(x.FINs) < maxSent {
		answered := x.Fins > 1 && x.acked && x.una == x.next
		x.FINs = append(x.FINs, Sent{Time: p.Time, Frame: p.Frame, Input: p.Input, Answered: answered})
	}
	if x.Fins == 1 {
		if f.ResetState == StateNone {
			f.EndTime, f.EndFrame = p.Time, p.Frame
		}
		t.emit(f, p, Event{Kind: EventFIN, Side: s, Seq: p.Seq})
	}
}

// gap notes a hole below a segment that came before what it follows.
func (t *Table) gap(f *Flow, s Side, p *packet.Packet, seq uint32) {
	x := &f.Dirs[s]
	hole := x.push(&t.slabs)
	hole.sent, hole.seq, hole.end = p.Time, x.next, seq
	hole.stamp(p)
	if x.alarm || x.alarmed {
		hole.marks |= markAlarmed
	}
	x.next = seq
}

// stamp sets timestamp and IP identification of a segment from a packet.
func (g *segment) stamp(p *packet.Packet) {
	g.ipid = p.IPID
	g.marks &^= markStamped
	if p.Opts&packet.OptTS != 0 {
		g.ts = p.TSval
		g.marks |= markStamped
	}
}

// fresh appends bytes that are seen for the first time, at the end of all others.
func (t *Table) fresh(f *Flow, s Side, p *packet.Packet, seq, end uint32) {
	x := &f.Dirs[s]
	// Identifications are learned from originals in their order: only those show how a sender counts.
	x.ids.next(p.IPID)
	x.recovered = NoMechanism
	if p.Opts&packet.OptTS != 0 {
		f.Dirs[s.Other()].trip.end(p)
	}
	x.UniqueBytes += uint64(payloadIn(p, seq, end))
	g := x.push(&t.slabs)
	g.sent, g.seq, g.end, g.tx = p.Time, seq, end, 1
	g.stamp(p)
	x.next = end
	if live := x.live(); len(live) > maxQueue {
		x.forget(len(live)/2, t)
	}
	t.think(f, s, p)
}

// payloadIn returns how many bytes of payload lie in a range that ends at or before p's end; a FIN
// takes a number and is not a byte.
func payloadIn(p *packet.Packet, seq, end uint32) uint32 {
	n := end - seq
	if p.Flags&packet.FIN != 0 && end == p.Seq+p.SeqLen() {
		n--
	}
	return n
}

// forget drops the oldest segments of a queue that nobody acknowledges.
func (x *Direction) forget(n int, t *Table) {
	for i := range x.live()[:n] {
		x.forgot = x.forgot || x.live()[i].tx == 0
	}
	x.pop(n, &t.slabs)
}

// goesOn is a pause after which a client that waits for an answer does not send on. One that does reports
// events, as over a WebSocket, or sends a large file slowly: what comes back then, a ping for one, answers nothing.
const goesOn = int64(time.Second)

// think measures how long the server took from the end of a request to the first byte of its
// answer: new data of the client, then new data of the server that acknowledges all of it.
func (t *Table) think(f *Flow, s Side, p *packet.Packet) {
	if p.Payload == 0 {
		return
	}
	if s == Client {
		if x := f.S2C(); x.Fins > 0 && p.Flags&packet.ACK != 0 && !before(p.Ack, x.next) {
			return // who has taken the server's FIN asks no more: TLS says goodbye behind it
		}
		f.reports = f.reports || f.asking && p.Time-f.requestEnd >= goesOn
		// The last of several segments, or of pipelined requests, is the one that counts.
		f.asking, f.requestEnd = true, p.Time
		return
	}
	if !f.asking || p.Flags&packet.ACK != 0 && before(p.Ack, f.C2S().next) {
		return // still the answer to an earlier request
	}
	reports := f.reports
	f.asking, f.reports = false, false
	if d := p.Time - f.requestEnd; d >= 0 && !reports {
		f.think.Add(d, &t.histograms)
		t.emit(f, p, Event{Kind: EventThink, Side: Server, Seq: p.Seq, Value: d})
	}
}

// again follows a segment that begins below the highest sequence number seen.
func (t *Table) again(f *Flow, s Side, p *packet.Packet, seq, end uint32) {
	x := &f.Dirs[s]
	// Old bytes are judged; those above them, if any, are seen for the first time. A segment with both
	// comes from a sender that has put a repetition and new data together (tcp_retrans_try_collapse).
	old := earlier(end, x.next)
	v := f.judge(s, p, seq, old)
	switch v.kind {
	case isCopy:
		t.duplicate(f, s, p)
	case isRetransmission:
		t.retransmission(f, s, p, v, seq, old)
	case isReordered:
		t.reordered(f, s, p, v, seq, old)
	case isAmbiguous:
		t.ambiguous(f, s, p, v, seq, old)
	default:
		x.fill(p, seq, old)
	}
	if after(end, x.next) {
		t.fresh(f, s, p, x.next, end)
	}
	// Repetitions cut what they cover: a large frame, again byte by byte, would become a queue in which
	// each cut moves all others.
	if live := x.live(); len(live) > maxQueue {
		x.forget(len(live)/2, t)
	}
}

// duplicate counts a packet that the capture holds twice.
func (t *Table) duplicate(f *Flow, s Side, p *packet.Packet) {
	f.Dirs[s].CaptureDuplicates++
	t.emit(f, p, Event{Kind: EventCaptureDuplicate, Side: s, Seq: p.Seq, Len: p.Payload})
}

// retransmission counts a segment that was sent before.
func (t *Table) retransmission(f *Flow, s Side, p *packet.Packet, v verdict, seq, end uint32) {
	x := &f.Dirs[s]
	if p.Flags&packet.SYN != 0 {
		// Fast open: the SYN that carries the data has been counted, and it is one segment.
		x.RetransmittedBytes += uint64(payloadIn(p, seq, end))
		x.resent(p, seq, end)
		return
	}
	n := x.segments(&f.Dirs[s.Other()], p)
	x.RetransmittedBytes += uint64(payloadIn(p, seq, end))
	// A SYN that carries data (RFC 7413) has been counted as a SYN: it is one segment, not two.
	if p.Flags&packet.SYN != 0 {
		if n--; n == 0 {
			x.resent(p, seq, end)
			return
		}
	}
	m := f.mechanism(s, p, &v, seq, end)
	x.Retransmits += n
	switch m {
	case Timeout:
		x.RetransmitsTimeout += n
	case Fast:
		x.RetransmitsFast += n
	case Probe:
		x.RetransmitsProbe += n
	default:
		x.RetransmitsUnknown += n
	}
	if v.never {
		// On a tap at the sender this is a loss before the tap: in its own qdisc or driver.
		x.NeverCaptured += n
	}
	e := Event{
		Kind: EventRetransmit, Side: s, Mechanism: m, Evidence: v.by, Never: v.never,
		Seq: p.Seq, Len: p.Payload, Value: int64(n),
	}
	if m == Timeout {
		e.Backoff = x.backoff
		x.MaxBackoff = max(x.MaxBackoff, x.backoff)
	}
	t.emit(f, p, e)
	x.resent(p, seq, end)
	if v.needless {
		x.RetransmitsSpurious += n
		e.Kind, e.Evidence = EventSpurious, ByAcknowledgment
		t.emit(f, p, e)
	}
	if s == Client {
		f.asking, f.reports = false, false // the request's end is not to be told any more
	}
}

// resent marks bytes as transmitted once more.
func (x *Direction) resent(p *packet.Packet, seq, end uint32) {
	x.fill(p, seq, end)
	list := x.cover(seq, end)
	for i := range list {
		g := &list[i]
		if g.tx == 1 && !x.empty() && g == &x.live()[0] {
			x.repeatedSeq, x.repeatedTime = g.seq, p.Time
		}
		needless := g.marks & markSACKed
		g.stamp(p)
		g.sent, g.tx = p.Time, min(g.tx, 254)+1
		g.marks = g.marks&^(markSpurious|markAmbiguous) | markResent
		if needless != 0 {
			g.marks |= markSpurious // counted at once
		}
	}
	if len(list) == 0 {
		// All of it was acknowledged before.
		g := segment{sent: p.Time, seq: seq, end: end, tx: 2, marks: markResent | markSpurious | markTimed}
		g.stamp(p)
		x.keep(g)
	}
}

// fill turns holes into captured bytes, which give no round-trip sample.
func (x *Direction) fill(p *packet.Packet, seq, end uint32) {
	for i, list := 0, x.cover(seq, end); i < len(list); i++ {
		g := &list[i]
		if g.tx > 0 {
			continue
		}
		x.UniqueBytes += uint64(payloadIn(p, g.seq, g.end))
		g.stamp(p)
		g.sent, g.tx = p.Time, 1
		g.marks |= markTimed
	}
	for i := range x.past {
		if g := &x.past[i]; g.tx == 0 && before(g.seq, end) && after(g.end, seq) {
			x.fillPast(p, g, later(g.seq, seq), earlier(g.end, end))
		}
	}
}

// fillPast turns part of an acknowledged hole into captured bytes.
func (x *Direction) fillPast(p *packet.Packet, g *segment, from, to uint32) {
	x.UniqueBytes += uint64(payloadIn(p, from, to))
	x.AckedUnseen -= min(x.AckedUnseen, uint64(to-from))
	switch {
	case from == g.seq && to == g.end:
		*g = segment{sent: p.Time, seq: from, end: to, tx: 1}
		g.stamp(p)
	case from == g.seq:
		g.seq = to
	case to == g.end:
		g.end = from
	default:
		// The part above is given up: what comes of it later is ambiguous.
		g.end, x.forgot = from, true
	}
}

// reordered counts an original that came after later ones.
func (t *Table) reordered(f *Flow, s Side, p *packet.Packet, v verdict, seq, end uint32) {
	x := &f.Dirs[s]
	x.Reordered++
	x.fill(p, seq, end)
	t.emit(f, p, Event{
		Kind: EventReordered, Side: s, Evidence: v.by, Seq: p.Seq, Len: p.Payload,
		Value: max(p.Time-v.since, 0),
	})
}

// ambiguous counts a segment of which the evidence does not tell what it is.
func (t *Table) ambiguous(f *Flow, s Side, p *packet.Packet, v verdict, seq, end uint32) {
	x := &f.Dirs[s]
	x.Ambiguous++
	// As if it were a retransmission in one respect: it must not give a round-trip sample.
	x.fill(p, seq, end)
	// A duplicate that the network made is reported like a retransmission: a DSACK proves nothing of it.
	// And a SYN with data has been counted as a repetition.
	var mark marks
	if v.by != ByIPID && p.Flags&packet.SYN == 0 {
		mark = markAmbiguous
	}
	list := x.cover(seq, end)
	for i := range list {
		list[i].tx = max(list[i].tx, 2)
		list[i].marks |= mark
	}
	if len(list) == 0 && mark != 0 {
		// All of it was acknowledged before; the receiver may still have something to say of it.
		g := segment{sent: p.Time, seq: seq, end: end, tx: 1, marks: mark | markTimed}
		g.stamp(p)
		x.keep(g)
	}
	t.emit(f, p, Event{Kind: EventAmbiguous, Side: s, Evidence: v.by, Seq: p.Seq, Len: p.Payload})
}
