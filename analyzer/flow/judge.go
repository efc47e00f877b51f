package flow

import "github.com/spikebox/spikebox/analyzer/packet"

// verdict says what a segment is that begins below the highest sequence number seen.
type verdict struct {
	kind     verdictKind
	by       Evidence
	never    bool  // a retransmission whose original was not captured
	needless bool  // the receiver had the bytes already
	tx       uint8 // transmissions captured before
	since    int64 // Unix ns of the last of them, or of the discovery of the hole
}

// verdictKind is what a segment was judged to be.
type verdictKind uint8

const (
	isOriginal verdictKind = iota // captured out of order, or filling in what was acknowledged
	isCopy                        // captured twice
	isRetransmission
	isReordered
	isAmbiguous
)

const (
	// Two captures of one packet, on a bond and its slave, lie well within this.
	copyWithin = 1_000_000 // ns
	// Linux never waits less before it retransmits by timeout (TCP_RTO_MIN, 6.18).
	minRTO = 200e6
	// Nor longer than this (TCP_RTO_MAX): what is answered later has been sent twice.
	maxRTO = 120e9
)

// judge decides by the strongest evidence there is what the bytes from seq to end are, which lie
// below x.next.
func (f *Flow) judge(s Side, p *packet.Packet, seq, end uint32) verdict {
	x := &f.Dirs[s]
	list := x.cover(seq, end)
	if len(list) == 0 {
		return f.judgePast(s, p, seq, end)
	}
	// A repetition of bytes that the receiver holds already, as its SACK blocks say, is not needed.
	needless := true
	for i := range list {
		needless = needless && list[i].marks&markSACKed != 0
	}
	for i := range list {
		if list[i].tx > 0 {
			v := f.judgeSeen(s, p, &list[i])
			v.needless = needless
			return v
		}
	}
	v := f.judgeHole(s, p, &list[0])
	v.never, v.needless, v.since = true, needless, list[0].sent
	return v
}

// judgeSeen decides about bytes that were captured before.
func (f *Flow) judgeSeen(s Side, p *packet.Packet, g *segment) verdict {
	x := &f.Dirs[s]
	v := verdict{kind: isRetransmission, by: BySeen, tx: g.tx, since: g.sent}
	age := p.Time - g.sent
	order, by := f.sendOrder(s, p, g)
	numbered := !p.V6 && p.IPID != 0
	switch same := numbered && uint32(p.IPID-g.ipid) < x.pieces(g) && !f.tooLate(age); {
	case same && max(age, -age) <= copyWithin:
		v.kind, v.by = isCopy, ByIPID
	case same && x.ids.varying():
		// The same packet once more, later, but within the life of one: the network has duplicated it.
		v.kind, v.by = isAmbiguous, ByIPID
	case order < 0:
		// Sent before the copy that was captured first, which was the retransmission.
		v.kind, v.by = isReordered, by
	case !numbered && by == NoEvidence && age >= 0 && age <= copyWithin && x.ackTime < g.sent:
		// Nothing came from the peer that could have made the sender repeat it so soon.
		v.kind, v.by = isCopy, ByTime
	}
	return v
}

// sendOrder compares when side s sent p with when it sent a segment: negative when p was first, 0 without
// evidence.
func (f *Flow) sendOrder(s Side, p *packet.Packet, g *segment) (int32, Evidence) {
	if g.marks&markStamped != 0 && p.Opts&packet.OptTS != 0 && p.TSval != g.ts {
		return int32(p.TSval - g.ts), ByTimestamp
	}
	if !p.V6 && p.IPID != g.ipid && p.IPID != 0 && g.ipid != 0 && f.Dirs[s].ids.counting() {
		// A host that numbers the packets of all its connections together goes once around between a
		// packet and its timeout: then the larger number is the older.
		if order := int32(int16(p.IPID - g.ipid)); order > 0 || !f.tooLate(p.Time-g.sent) {
			return order, ByIPID
		}
	}
	return 0, NoEvidence
}

// tooLate reports whether a packet that comes so many ns after another cannot have been sent before it.
//
// A late packet (RFC 4737 §4.3) is waited for only so long: a round trip after the segment above the hole
// its sender has the receiver's report, and RACK then waits for one smoothed round trip at most
// (RFC 8985 §6.2). What comes two round trips later and more was sent
// again. Where they are shorter than any timer, or not known, the bound is the shortest timer: before
// it has run, nothing can be a timeout.
func (f *Flow) tooLate(age int64) bool {
	// Across a step of the clock nothing is known about the age.
	return !f.stepped && age >= max(2*(f.Dirs[Client].srtt+f.Dirs[Server].srtt), minRTO)
}

// judgeHole decides about bytes that were not captured when later ones were: a reordered original
// was sent before the segment above the hole, a retransmission after it.
func (f *Flow) judgeHole(s Side, p *packet.Packet, g *segment) verdict {
	switch order, by := f.sendOrder(s, p, g); {
	case order < 0:
		return verdict{kind: isReordered, by: by}
	case order > 0:
		return verdict{kind: isRetransmission, by: by}
	}
	return f.judgeByTime(s, p, g)
}

// judgeByTime decides about a hole by the round trip: the sender cannot know of a loss before the
// segment above the hole has gone to the receiver and the answer back to the sender. Only a sender
// that repairs an earlier loss suspects it without that. Round trips mean nothing where the clock
// was stepped, and are overestimated where the capture has lost packets.
func (f *Flow) judgeByTime(s Side, p *packet.Packet, g *segment) verdict {
	x, y := &f.Dirs[s], &f.Dirs[s.Other()]
	age := p.Time - g.sent
	shortest, current := x.rttMin+y.rttMin, x.srtt+y.srtt
	reported := x.dupAcks >= 3 || x.sacked && after(x.sackHigh, g.end+2*x.pieceSize)
	switch {
	case g.marks&markSACKed != 0 && age >= 0 && age <= copyWithin:
		return verdict{kind: isOriginal}
	case age < 0 || current == 0 || f.stepped:
		return verdict{kind: isAmbiguous}
	case age < shortest*3/4 && g.marks&markAlarmed == 0 && x.AckedUnseen+y.AckedUnseen == 0:
		return verdict{kind: isReordered, by: ByTime}
	case reported && age >= current && y.far() > 0: // a way that is not known is not short
		return verdict{kind: isRetransmission, by: BySACK}
	case f.tooLate(age):
		return verdict{kind: isRetransmission, by: ByTime}
	}
	return verdict{kind: isAmbiguous}
}

// judgePast decides about bytes below the outstanding ones.
func (f *Flow) judgePast(s Side, p *packet.Packet, seq, end uint32) verdict {
	x := &f.Dirs[s]
	tx := uint8(1)
	for i := range x.past {
		g := &x.past[i]
		if !before(g.seq, end) || !after(g.end, seq) {
			continue
		}
		if g.tx == 0 {
			return f.judgeUnseen(s, p, g)
		}
		if v := f.judgeSeen(s, p, g); v.kind != isRetransmission {
			return v
		}
		tx = max(tx, g.tx)
	}
	// Bytes from before the capture, and those whose hole was forgotten, were sent before only if the
	// timestamp is the newest of all: then other data, sent later than the original, came before it.
	newest := x.stamped && p.Opts&packet.OptTS != 0 && after(p.TSval, x.tsMax)
	if (x.forgot || before(seq, x.base)) && !newest || f.overtaken(s, p) {
		// What was sent before later packets may be a copy that the network made.
		return verdict{kind: isAmbiguous}
	}
	needless := x.acked && !after(end, x.una)
	v := verdict{kind: isRetransmission, by: BySeen, needless: needless, tx: tx}
	if needless {
		v.by = ByAcknowledgment
	}
	v.never = before(seq, x.base)
	return v
}

// judgeUnseen decides about bytes that were acknowledged without having been captured.
func (f *Flow) judgeUnseen(s Side, p *packet.Packet, g *segment) verdict {
	x, y := &f.Dirs[s], &f.Dirs[s.Other()]
	age := p.Time - g.sent
	if g.marks&markStamped != 0 {
		switch order, by := f.sendOrder(s, p, g); {
		case order < 0:
			return verdict{kind: isReordered, by: by, since: g.sent}
		case order > 0:
			return verdict{kind: isRetransmission, by: by, never: true, needless: true, since: g.sent}
		}
	}
	current := x.srtt + y.srtt
	switch {
	case age >= 0 && age <= copyWithin/10:
		// Captured just after its own acknowledgement: two queues, one capture.
		return verdict{kind: isOriginal}
	case current > 0 && f.tooLate(age):
		return verdict{kind: isRetransmission, by: ByTime, never: true, needless: true, since: g.sent}
	}
	return verdict{kind: isAmbiguous}
}

// overtaken reports whether timestamp or identification say that side s sent p before packets that
// were captured earlier.
func (f *Flow) overtaken(s Side, p *packet.Packet) bool {
	x := &f.Dirs[s]
	if x.old(p) {
		return true
	}
	return !p.V6 && p.IPID != 0 && x.ids.counting() && int16(p.IPID-x.ids.last) < 0 &&
		!f.tooLate(p.Time-x.sentTime)
}

// ipids watches whether the IP identification of a sender counts up from packet to packet, as Linux
// does for each connection. Then it orders packets as timestamps do.
type ipids struct {
	last    uint16
	up, bad uint8
}

// next takes the identification of the next original in the order of sequence numbers.
func (c *ipids) next(id uint16) {
	step := id - c.last
	c.last = id
	// A host that counts for all its connections together, or byte-swapped, takes larger steps than
	// one; beyond a thousand the numbers are random as far as one flow can tell.
	switch {
	case id == 0 || step == 0 || step > 1024:
		c.bad = min(c.bad, 254) + 1
	case c.up < 255:
		c.up++
	}
}

// counting reports whether identifications tell the order: the first is compared with nothing.
func (c *ipids) counting() bool { return c.up >= 4 && c.varying() }

// varying reports whether nothing speaks against it: then an identification that comes twice means
// the same packet.
func (c *ipids) varying() bool { return c.bad <= 1+c.up/16 }
