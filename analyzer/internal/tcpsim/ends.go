package tcpsim

import "github.com/spikebox/spikebox/analyzer/packet"

// minRTO is Linux's, in ns.
const minRTO = 200e6

// seqOf is the sequence number of a segment.
func (s *sim) seqOf(i int) uint32 { return s.ISN + 1 + uint32(i)*mss }

// fill sends what the window allows.
func (s *sim) fill() {
	for s.next < len(s.segs) && s.next-s.una < s.Window {
		s.send(s.next)
		s.next++
	}
}

// send transmits a segment through the network to the tap and on to the client.
func (s *sim) send(i int) {
	label := Original
	if s.segs[i].sent > 0 {
		label = Retransmission
		s.retransmissions++
	}
	s.segs[i].sent++
	s.segs[i].last = s.now
	p := s.packet(true, packet.ACK)
	p.Seq, p.Ack, p.Payload, p.TSecr = s.seqOf(i), 6, mss, s.recentTS
	s.arm()
	// Lost before the tap: the capture will hold the repetition only.
	if s.chance(s.LossBefore) {
		return
	}
	delay, sent, byTimer := s.toTap(), s.now, s.byTimer
	if s.chance(s.Reorder) {
		delay += s.rand.Int64N(s.ReorderBy)
	}
	s.after(delay, func() { s.pass(i, p, label, sent, byTimer) })
	if s.chance(s.Duplicate) {
		s.after(delay+s.rand.Int64N(3e6), func() { s.pass(i, p, Duplicate, sent, false) })
	}
}

// pass takes a segment past the tap.
func (s *sim) pass(i int, p packet.Packet, label Label, sent int64, byTimer bool) {
	s.capture(p, label, sent, byTimer)
	if !s.chance(s.LossAfter) {
		s.after(s.FromTap, func() { s.receive(i, p) })
	}
}

// arm starts the retransmission timer anew.
func (s *sim) arm() {
	s.timer++
	mine := s.timer
	s.after((minRTO+s.srtt)<<min(s.backoff, 6), func() {
		if mine == s.timer && s.una < s.next {
			s.timeout()
		}
	})
}

// timeout sends the first outstanding segment again and forgets what was known (RFC 6298, RFC 6582).
func (s *sim) timeout() {
	s.backoff++
	s.recovering, s.byTimer, s.recoverTo, s.dupAcks = true, true, s.next, 0
	for i := s.una; i < s.next; i++ {
		s.segs[i].again = false
	}
	s.segs[s.una].again = true
	s.send(s.una)
}

// receive takes a segment at the client and acknowledges it at once.
func (s *sim) receive(i int, p packet.Packet) {
	if s.received == nil {
		s.received = make([]bool, len(s.segs))
	}
	again := s.received[i]
	s.received[i] = true
	if i == s.expected || p.Opts&packet.OptTS != 0 && i < s.expected {
		// RFC 7323 §4.3: the timestamp of what is at or below the last acknowledgement sent.
		if int32(p.TSval-s.tsRecent) >= 0 {
			s.tsRecent = p.TSval
		}
	}
	for s.expected < len(s.segs) && s.received[s.expected] {
		s.expected++
	}
	if i >= s.expected {
		s.lastBlock = i
	}
	a := s.packet(false, packet.ACK)
	a.Seq, a.Ack, a.TSecr = 6, s.seqOf(s.expected), s.tsRecent
	if s.SACK {
		s.blocks(&a, i, again)
	}
	s.after(s.FromTap, func() {
		s.capture(a, Control, s.now, false)
		if !s.chance(s.LossACK) {
			s.after(s.ToTap, func() { s.acknowledged(a) })
		}
	})
}

// blocks adds SACK blocks: a duplicate first (RFC 2883), then the one received last, then others.
func (s *sim) blocks(a *packet.Packet, i int, again bool) {
	add := func(from, to int) {
		b := packet.SACK{Left: s.seqOf(from), Right: s.seqOf(to)}
		for _, have := range a.SACKs[:a.NSACK] {
			if have == b {
				return
			}
		}
		if a.NSACK < 3 { // beside timestamps there is room for three (RFC 2018 §3)
			a.SACKs[a.NSACK] = b
			a.NSACK++
		}
	}
	if again {
		add(i, i+1)
	}
	run := func(i int) (from, to int) {
		for from = i; from > s.expected && s.received[from-1]; from-- {
		}
		for to = i; to < len(s.segs) && s.received[to]; to++ {
		}
		return from, to
	}
	if s.lastBlock > s.expected {
		add(run(s.lastBlock))
	}
	for j := s.expected; j < len(s.segs); j++ {
		if s.received[j] {
			from, to := run(j)
			add(from, to)
			j = to
		}
	}
}

// acknowledged takes an acknowledgement at the server.
func (s *sim) acknowledged(a packet.Packet) {
	acked := int(a.Ack-s.ISN-1) / mss
	if int32(a.TSval-s.recentTS) > 0 {
		s.recentTS = a.TSval
	}
	s.srtt = 2*(s.toTap()+s.FromTap) + 1
	for _, b := range a.SACKs[:a.NSACK] {
		for i := int(b.Left-s.ISN-1) / mss; i < int(b.Right-s.ISN-1)/mss; i++ {
			if i >= s.una && i < len(s.segs) {
				s.segs[i].sacked = true
			}
		}
	}
	switch {
	case acked > s.una:
		s.una, s.dupAcks, s.backoff = acked, 0, 0
		s.next = max(s.next, acked)
		if s.una < s.next {
			s.arm()
		}
	case acked == s.una && s.una < s.next:
		s.dupAcks++
	}
	if s.recovering && s.una >= s.recoverTo {
		s.recovering = false
	}
	if !s.recovering && s.dupAcks >= 3 { // RFC 5681 §3.2
		s.recovering, s.byTimer, s.recoverTo = true, false, s.next
		for i := s.una; i < s.next; i++ {
			s.segs[i].again = false
		}
	}
	if s.recovering {
		s.repair()
	}
	s.fill()
}

// repair sends the next segment again that is taken for lost: by SACK one with others above it,
// without SACK the first outstanding one (RFC 6675, RFC 6582).
func (s *sim) repair() {
	top := s.una + 1
	if s.SACK {
		for i := s.una; i < s.next; i++ {
			if s.segs[i].sacked {
				top = i
			}
		}
		top = max(top, s.una+1)
	}
	for i := s.una; i < min(top, s.next); i++ {
		// Nothing is sent again within a round trip: its loss cannot be known.
		if g := &s.segs[i]; !g.sacked && !g.again && s.now-g.last >= s.srtt {
			s.segs[i].again = true
			s.send(i)
			return
		}
	}
}
