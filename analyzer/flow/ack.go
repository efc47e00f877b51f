package flow

import "github.com/spikebox/spikebox/analyzer/packet"

// ack follows the acknowledgement in a packet that side s sent: it is about the data of the other.
func (t *Table) ack(f *Flow, s Side, p *packet.Packet) {
	x, y := &f.Dirs[s], &f.Dirs[s.Other()]
	h := &f.Handshake
	if s == Client && h.AckTime == 0 && y.hasISN && !before(p.Ack, y.isn+1) {
		t.finalAck(f, p)
	}
	if !y.started {
		// The peer's data was not captured so far: numbering starts at what is acknowledged.
		y.started = true
		y.base, y.next, y.una = p.Ack, p.Ack, p.Ack
	}
	// SACK before the cumulative acknowledgement: a DSACK is about segments that this very packet may
	// remove from the queue.
	if p.NSACK > 0 {
		t.sacks(f, s, p)
	}
	switch {
	case after(p.Ack, y.next):
		t.unseen(f, s, p)
		t.advance(f, s, p)
	case after(p.Ack, y.una):
		t.advance(f, s, p)
	case p.Ack == y.una:
		t.sameAck(f, s, p)
	default:
		return // an old one that was overtaken
	}
	y.acked = true
	t.window(f, s, p)
	// Both FINs are seen and acknowledged: what comes now are repetitions of the last ones.
	if !f.closed && x.Fins > 0 && y.Fins > 0 && x.una == x.next && y.una == y.next {
		t.close(f)
	}
}

// unseen notes that the peer acknowledged what the capture never saw: a hole at the end.
func (t *Table) unseen(f *Flow, s Side, p *packet.Packet) {
	y := &f.Dirs[s.Other()]
	if y.next == p.Ack-1 && (y.zeroProbed || f.state() >= StateClosing) {
		// A window probe of one byte that was accepted, or the number of a FIN.
		y.next, y.zeroProbed = p.Ack, false
		return
	}
	hole := y.push(&t.slabs)
	hole.sent, hole.seq, hole.end = p.Time, y.next, p.Ack
	y.next = p.Ack
}

// advance follows an acknowledgement of new data.
func (t *Table) advance(f *Flow, s Side, p *packet.Packet) {
	y := &f.Dirs[s.Other()]
	y.una, y.ackTime = p.Ack, p.Time
	y.dupAcks, y.backoff = 0, 0
	if y.sacked && !before(y.una, y.sackHigh) {
		y.sacked = false
	}
	if y.recovery != NoMechanism && !before(y.una, y.recoverUntil) {
		y.recovery, y.recovered = NoMechanism, y.recovery
	}
	if y.alarm && !before(y.una, y.alarmUntil) {
		y.alarm, y.alarmed = false, true
	}
	live := y.live()
	if len(live) == 0 {
		return
	}
	// In this order: the samples look at transmissions as they were before anything is removed.
	t.eifel(f, s, p, &live[0])
	n := 0
	for n < len(live) && !after(live[n].end, p.Ack) {
		n++
	}
	t.sample(f, s, p, live, n)
	for i := range live[:n] {
		if live[i].tx != 1 || live[i].marks&markResent != 0 {
			t.remember(f, s, p, &live[i])
		}
	}
	// A frame of segmentation offload may be acknowledged in part.
	if n < len(live) && before(live[n].seq, p.Ack) {
		if part := live[n]; part.tx == 0 {
			part.end = p.Ack
			t.remember(f, s, p, &part)
		}
		y.cut(&live[n], p.Ack)
	}
	if n > 0 {
		y.pop(n, &t.slabs)
	}
}

// remember keeps an acknowledged hole or retransmission, because a late copy may still arrive.
func (t *Table) remember(f *Flow, s Side, p *packet.Packet, g *segment) {
	y := &f.Dirs[s.Other()]
	if g.tx == 0 {
		g.marks |= markAcked
		y.AckedUnseen += uint64(g.end - g.seq)
		t.emit(f, p, Event{
			Kind: EventAckedUnseen, Side: s.Other(), Seq: g.seq, Value: int64(g.end - g.seq),
		})
	}
	y.keep(*g)
}

// keep appends to the acknowledged segments that a late copy may still be compared with.
func (y *Direction) keep(g segment) {
	if len(y.past) == maxPast {
		// Without a hole forgotten, whatever is not in the list is known to have been captured.
		y.forgot = y.forgot || y.past[0].tx == 0
		copy(y.past, y.past[1:])
		y.past = y.past[:maxPast-1]
	}
	y.past = append(y.past, g)
}

// eifel finds a retransmission that was not needed: the first acknowledgement after it echoes the
// timestamp of the original (RFC 3522).
func (t *Table) eifel(f *Flow, s Side, p *packet.Packet, head *segment) {
	if head.marks&(markResent|markSpurious|markStamped) != markResent|markStamped || head.tx < 2 {
		return
	}
	if p.Opts&packet.OptTS != 0 && before(p.TSecr, head.ts) {
		t.spurious(f, s.Other(), p, head, ByTimestamp)
	}
}

// spurious counts the last retransmission of a segment as not needed.
func (t *Table) spurious(f *Flow, sender Side, p *packet.Packet, g *segment, by Evidence) {
	x := &f.Dirs[sender]
	g.marks |= markSpurious
	n := x.pieces(g)
	x.RetransmitsSpurious += n
	t.emit(f, p, Event{
		Kind: EventSpurious, Side: sender, Evidence: by, Seq: g.seq, Len: g.end - g.seq,
		Value: int64(n),
	})
}

// pieces returns how many segments a run of sequence space was sent as.
func (x *Direction) pieces(g *segment) uint32 {
	size := uint32(max(x.pieceSize, 1))
	return max((g.end-g.seq+size-1)/size, 1)
}

// maxAckDelay is how long a receiver may wait with an acknowledgement, ns: less than 0.5 s
// (RFC 1122 §4.2.3.2).
const maxAckDelay = 500e6

// prompt reports whether the receiver sent an acknowledgement for its own sake. One that comes with
// data, a FIN or a keep-alive comes when the program has something to say: when the acknowledgement
// before it was not captured, or was lost, that may be an hour later.
func (f *Flow) prompt(s Side, p *packet.Packet) bool {
	return p.SeqLen() == 0 && !f.Dirs[s].asksAgain(p)
}

// sample takes the round trip that an acknowledgement of the first n segments shows, if it covers
// neither a retransmission nor a hole (Karn's rule, RFC 6298 §3). It advances the left edge, as the
// RTTM rule demands (RFC 7323 §4.1). With timestamps it is measured from the oldest segment whose
// TSval is echoed (RFC 7323 §4.3), otherwise from the segment that ends where the acknowledgement
// does. One that data may have brought must come within the time that a receiver may wait beyond the
// path's own round trip, as the last prompt acknowledgement or the shortest of all shows it: so a
// satellite's 900 ms and a path with a queue of a second count, and a user's pause does not.
func (t *Table) sample(f *Flow, s Side, p *packet.Packet, live []segment, n int) {
	stamped := p.Opts&packet.OptTS != 0
	var from *segment
	for i := range live[:min(n+1, len(live))] {
		g := &live[i]
		if i == n && !before(g.seq, p.Ack) {
			break
		}
		if g.tx != 1 {
			return
		}
		if g.marks&markTimed != 0 {
			continue
		}
		// An option is not present in every packet of a side that uses it only when something on the
		// way has removed it; the segment is then skipped and not guessed at.
		match := stamped && g.marks&markStamped != 0 && g.ts == p.TSecr
		if match && from == nil || !stamped && g.end == p.Ack {
			from = g
		}
	}
	if from == nil {
		return
	}
	from.marks |= markTimed
	y := &f.Dirs[s.Other()]
	rtt := p.Time - from.sent
	switch {
	case rtt < 0, rtt > maxRTO:
		return // the clock was set, or the capture stood still: the sender would have sent again
	case f.prompt(s, p):
		y.promptRTT = rtt
	case rtt >= max(y.rttMin, y.promptRTT)+maxAckDelay:
		return
	}
	y.rtt.Add(rtt, &t.histograms)
	y.estimate(rtt)
	t.emit(f, p, Event{Kind: EventRTT, Side: s.Other(), Seq: from.seq, Value: rtt})
}

// estimate smooths the round trip as RFC 6298 §2 does.
func (x *Direction) estimate(rtt int64) {
	switch {
	case rtt < 0:
	case x.srtt == 0:
		x.srtt, x.rttMin = max(rtt, 1), max(rtt, 1)
	default:
		x.srtt += (rtt - x.srtt) / 8
		x.rttMin = min(x.rttMin, max(rtt, 1))
	}
}

// sameAck follows an acknowledgement that repeats the last: a duplicate when data is outstanding and
// it brings neither data nor another window (RFC 5681 §2), or when it brings SACK blocks.
func (t *Table) sameAck(f *Flow, s Side, p *packet.Packet) {
	x, y := &f.Dirs[s], &f.Dirs[s.Other()]
	if p.Payload > 0 || p.Flags&(packet.SYN|packet.FIN) != 0 || y.queue.empty() {
		return
	}
	if p.NSACK == 0 && x.hasEdge && x.scaled(p) != x.window {
		return // a window update
	}
	x.DupAcks++
	y.ackTime = p.Time
	if y.dupAcks < 255 {
		y.dupAcks++
	}
	if y.dupAcks >= 3 {
		y.raise()
	}
}

// raise notes that this side repairs a loss, or is about to: until all that is outstanding now is
// acknowledged, it may send again what the tap knows nothing of.
func (x *Direction) raise() {
	if !x.alarm {
		x.alarm, x.alarmUntil = true, x.next
	}
}

// sacks follows the selective acknowledgements in a packet that side s sent (RFC 2018, RFC 2883).
func (t *Table) sacks(f *Flow, s Side, p *packet.Packet) {
	y := &f.Dirs[s.Other()]
	blocks := p.SACKs[:p.NSACK]
	if duplicate(p.Ack, blocks) {
		t.dsack(f, s, p, blocks[0])
		blocks = blocks[1:]
	}
	for _, b := range blocks {
		if !after(b.Right, y.una) || after(b.Right, y.next) || !before(b.Left, b.Right) {
			continue
		}
		if !y.sacked || after(b.Right, y.sackHigh) {
			y.sackHigh, y.sacked = b.Right, true
			y.raise()
		}
		y.mark(b)
	}
}

// duplicate reports whether the first block tells of data received twice: it lies below the
// acknowledgement, or inside the second block (RFC 2883 §4).
func duplicate(ack uint32, blocks []packet.SACK) bool {
	first := blocks[0]
	if !before(first.Left, first.Right) {
		return false
	}
	if !after(first.Right, ack) {
		return true
	}
	return len(blocks) > 1 && !before(first.Left, blocks[1].Left) &&
		!after(first.Right, blocks[1].Right)
}

// mark notes which outstanding segments a SACK block covers. It goes from the right, where blocks
// grow, and stops at the first segment that is known already.
func (y *Direction) mark(b packet.SACK) {
	live := y.live()
	i := y.find(b.Right - 1)
	for i = min(i, len(live)-1); i >= 0 && !before(live[i].seq, b.Left); i-- {
		if live[i].marks&markSACKed != 0 {
			return
		}
		if !after(live[i].end, b.Right) {
			live[i].marks |= markSACKed
		}
	}
}

// dsack follows a report that bytes came twice: their retransmission was not needed. What was left
// ambiguous is proven to be a retransmission (RFC 2883, RFC 3708).
func (t *Table) dsack(f *Flow, s Side, p *packet.Packet, b packet.SACK) {
	sender := s.Other()
	y := &f.Dirs[sender]
	for _, list := range [2][]segment{y.past, y.live()} {
		for i := range list {
			g := &list[i]
			if !before(g.seq, b.Right) || !after(g.end, b.Left) || g.marks&markSpurious != 0 {
				continue
			}
			if g.marks&markAmbiguous != 0 {
				t.resolve(f, sender, p, g.sent)
			}
			if g.marks&markResent != 0 {
				t.spurious(f, sender, p, g, ByDSACK)
			}
		}
	}
}

// resolve counts the frame that was left ambiguous at a time as the retransmission that the packet p
// proves it to be. What made the sender send it again is not known any more. It does not count as
// never captured, because that means lost before the tap, and the receiver had it.
func (t *Table) resolve(f *Flow, sender Side, p *packet.Packet, at int64) {
	y := &f.Dirs[sender]
	e := Event{Kind: EventRetransmit, Side: sender, Evidence: ByDSACK}
	for _, list := range [2][]segment{y.past, y.live()} {
		for i := range list {
			g := &list[i]
			// The report may be about one segment of the frame; all of it was sent again.
			if g.marks&markAmbiguous == 0 || g.sent != at {
				continue
			}
			g.marks = g.marks&^markAmbiguous | markResent
			if e.Len == 0 {
				e.Seq = g.seq
			}
			e.Len += g.end - g.seq
		}
	}
	e.Value = int64(y.pieces(&segment{end: e.Len}))
	y.Ambiguous--
	y.Retransmits += uint32(e.Value)
	y.RetransmitsUnknown += uint32(e.Value)
	y.RetransmittedBytes += uint64(e.Len)
	t.emit(f, p, e)
}
