package flow

import "github.com/spikebox/spikebox/analyzer/packet"

// mechanism says what made side s retransmit the bytes from seq to end, and follows its recovery.
//
// Either an acknowledgement made it, or a timer. The sender answers an acknowledgement at once, or
// after RACK's reordering window, at most half a round trip here (RFC 8985 §6.2); with the tap at
// the receiver, the way from the tap to the sender and back comes on top. A longer silence means a
// timer. Once SACK has told of a gap, that may be RACK's own, which waits for some ticks of the
// kernel, 8 ms and more (tcp_rack_mark_lost, Linux 6.18), but far less than a timeout.
func (f *Flow) mechanism(s Side, p *packet.Packet, v *verdict, seq, end uint32) Mechanism {
	x, y := &f.Dirs[s], &f.Dirs[s.Other()]
	// Only acknowledgements that bring news count: the peer's own data, or its retransmission, does
	// not make anyone send again.
	silence := p.Time - max(x.ackTime, x.sentTime)
	limit := int64(100e6)
	if round := x.srtt + y.srtt; round > 0 {
		limit = y.srtt*5/4 + round/2 + 2e6
	}
	if x.sacked && after(x.sackHigh, seq) {
		limit = max(limit, minRTO*3/4)
	}
	x.raise()
	m := x.byAck(seq)
	// Where no acknowledgement can have been the reason, less silence will do.
	timer := silence >= limit || m == NoMechanism && silence >= minRTO/2
	if timer {
		m = f.byTimer(s, v, seq, end)
	}
	switch m {
	case Timeout:
		x.timeout(timer, seq)
	case Fast:
		x.fast()
	}
	return m
}

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
