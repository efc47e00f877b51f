package flow

import "github.com/spikebox/spikebox/analyzer/packet"

// mechanism says what made side s retransmit the bytes from seq to end, and follows its recovery.
//
// Either an acknowledgement made it, or a timer. The sender answers an acknowledgement at once, or
// after RACK's reordering window, at most half a round trip here (RFC 8985 §6.2); with the tap at
// the receiver, the way from the tap to the sender and back comes on top. A longer silence means a
// timer.
//
// Once the peer has told of a gap, a sender that still waits for its timeout is the exception: its
// repetition by acknowledgements must have been lost on its way to the tap. The timer began with the
// last data or the last news and runs for a round trip and minRTO at least (RFC 6298 §2.3, where Linux
// bounds the variance so). RACK's own timer waits for some ticks of the kernel, 8 ms and more
// (tcp_rack_mark_lost, Linux 6.18).
func (f *Flow) mechanism(s Side, p *packet.Packet, v *verdict, seq, end uint32) Mechanism {
	x := &f.Dirs[s]
	// Only acknowledgements that bring news count: the peer's own data, or its retransmission, does
	// not make anyone send again.
	silence := p.Time - max(x.ackTime, x.sentTime)
	x.raise()
	m := x.byAck(seq)
	limit := f.silenceLimit(s, m == Fast || x.sacked && after(x.sackHigh, seq))
	// Where no acknowledgement can have been the reason, less silence will do.
	timer := silence >= limit || m == NoMechanism && silence >= minRTO/2
	if timer {
		m = f.byTimer(s, v, seq, end)
	}
	switch m {
	case Timeout:
		x.timeout(timer, seq)
	case Fast:
		if x.recovery != Fast && p.Opts&packet.OptTS == 0 {
			// Without timestamps this is all that shows how long the way to the sender is by now.
			f.Dirs[s.Other()].trip.longer(max(silence, 0))
		}
		x.fast()
	}
	return m
}

// silenceLimit is the silence, in ns, that a retransmission of side s by acknowledgements can still have
// before it; told says that the peer has told of a gap.
func (f *Flow) silenceLimit(s Side, told bool) int64 {
	x, y := &f.Dirs[s], &f.Dirs[s.Other()]
	far := y.far()
	// A quarter less than the shortest timer: the last news at the tap may be later than the one that
	// began it.
	const timer = minRTO * 3 / 4
	switch {
	case far == 0 && told:
		return minRTO
	case far == 0:
		return minRTO / 2 // the way to the sender is not known, which does not make it short
	}
	limit := min(far*5/4+(x.srtt+far)/2+2e6, x.srtt+far+timer)
	if told {
		limit = max(limit, far+timer)
	}
	return limit
}

// far is the round trip from the tap to the peer of this side and back as it is now, in ns; 0 unknown.
// Where this side only receives, its data gives none after the handshake; but its acknowledgements do.
func (y *Direction) far() int64 { return max(y.srtt, y.trip.now) }

// trip follows the round trip to a peer by what it sends because of an acknowledgement.
type trip struct {
	now    int64  // ns; 0 unknown
	since  int64  // Unix ns of the packet whose timestamp is waited for in the peer's data; 0 none
	marker uint32 // that timestamp
}

// begin begins to wait for the echo of a timestamp, unless another is waited for.
func (t *trip) begin(p *packet.Packet) {
	if t.since == 0 {
		t.since, t.marker = p.Time, p.TSval
	}
}

// end takes new data of the peer. What it echoes was the newest that it had got, so that this is a whole
// trip, and what the peer had to wait for: a shorter one is believed at once, a longer one slowly.
func (t *trip) end(p *packet.Packet) {
	if t.since == 0 || before(p.TSecr, t.marker) {
		return
	}
	if took := p.Time - t.since; took > 0 && p.TSecr == t.marker {
		if t.now == 0 {
			t.now = took
		}
		t.now = min(took, t.now+(took-t.now)/8)
	}
	t.since = 0
}

// longer takes the silence between the peer's last news and its first fast retransmission, which is part
// of a trip.
func (t *trip) longer(silence int64) { t.now = max(silence, t.now+(silence-t.now)/8) }

// byAck returns the mechanism of a retransmission that an acknowledgement made: slow start after a
// timeout, or fast retransmission, for which duplicate ACKs or SACK must have told of a gap above.
func (x *Direction) byAck(seq uint32) Mechanism {
	switch {
	case x.recovery == Timeout:
		return Timeout
	case x.sacked && after(x.sackHigh, seq), x.dupAcks > 0, x.recovery == Fast:
		return Fast
	}
	// The recovery that the last acknowledgement ended was of more than could be seen: it goes on.
	return x.recovered
}

// byTimer returns the mechanism of a retransmission that a timer made. A timeout repeats the first
// outstanding segment (RFC 6298 §5.4), a tail-loss probe the last, once, and only while nothing is
// known to be lost (tcp_schedule_loss_probe, Linux 6.18).
func (f *Flow) byTimer(s Side, v *verdict, seq, end uint32) Mechanism {
	x := &f.Dirs[s]
	tail := end == x.next
	sack := f.Dirs[Client].SACKPermitted && f.Dirs[Server].SACKPermitted
	calm := x.recovery == NoMechanism && !x.sacked && x.dupAcks == 0
	switch {
	case tail && calm && v.tx <= 1 && (sack || before(x.una, seq)):
		return Probe
	case !after(seq, x.una), x.recovery != NoMechanism, x.sacked:
		return Timeout
	}
	return NoMechanism
}

// timeout follows a retransmission by timeout: fired says that a timer made it, not slow start. The
// recovery lasts until all that was sent before is acknowledged.
func (x *Direction) timeout(fired bool, seq uint32) {
	if fired {
		if x.backoffSeq != seq {
			x.backoff = 0
		}
		x.backoff = min(x.backoff, 254) + 1
		x.backoffSeq = seq
	}
	if fired || x.recovery != Timeout {
		x.recovery, x.recoverUntil = Timeout, x.next
	}
}

// fast follows a retransmission that duplicate ACKs or SACK made: it begins a recovery.
func (x *Direction) fast() {
	if x.recovery != Fast {
		x.recovery, x.recoverUntil = Fast, x.next
	}
}
