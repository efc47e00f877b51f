package taps

import (
	"slices"

	"github.com/spikebox/spikebox/analyzer/packet"
)

// span is what one transmission carries of the sequence space, FIN and SYN included. A RST takes none of
// it, and is followed as if it took one number.
type span struct {
	seq, end uint32
	ts       uint32 // TSval, where stamped
	ipid     uint16 // 0: not numbered
	stamped  bool
	kind     packet.Flags // SYN, RST or 0: a SYN is no data
	// Of a first fragment, bytes that the whole may have held: the others do not say whose they are.
	room uint32
}

// spanOf gives a packet's; ok is false for one that takes nothing, as a bare acknowledgement.
func spanOf(p *packet.Packet) (s span, ok bool) {
	s = span{seq: p.Seq, end: p.Seq + p.SeqLen(), ts: p.TSval, stamped: p.Opts&packet.OptTS != 0, kind: p.Flags & packet.SYN}
	if !p.V6 {
		s.ipid = p.IPID
	}
	if p.Flags&packet.RST != 0 {
		s.kind, s.end = packet.RST, p.Seq+1
	}
	return s, s.end != s.seq
}

// before compares sequence numbers (RFC 9293 §3.4: modulo 2^32).
func before(a, b uint32) bool { return int32(a-b) < 0 }

// overlap gives what two spans have in common; ok is false where that is nothing. Was the other cut into fragments, it
// is what was sent as one.
func (s *span) overlap(o *span) (from, to uint32, ok bool) {
	from, to = s.seq, s.end
	if before(from, o.seq) {
		from = o.seq
	}
	end := o.end
	if whole := o.seq + o.room; before(end, whole) && !before(o.seq, s.seq) {
		end = whole
	}
	if before(end, to) {
		to = end
	}
	return from, to, before(from, to)
}

// same says whether two spans that overlap can be one transmission. A repetition is stamped anew, unless
// it comes within the same tick; without stamps, or where one of the two places cut or stripped them, the IP
// identification tells, where exact.
func (s *span) same(o *span, exact bool) bool {
	switch {
	case s.kind != o.kind:
		return false
	case s.stamped && o.stamped:
		return s.ts == o.ts
	}
	return !exact || s.ipid == o.ipid
}

// piece is a transmission, or what is left of one, that has passed one place and not yet the next. A frame
// that offloads cut on the way passes piece by piece.
type piece struct {
	span
	at     int64  // Unix ns
	frame  uint64 // of its packet
	again  bool   // other copies of its bytes have passed the next place since
	copied bool   // and others before it was sent
}

const (
	// mostWaiting bounds a queue: 12 MB at 1460 bytes, 100 ms of 1 Gbit/s.
	mostWaiting = 8192
	// What has not passed the next place after so long is lost: a second before TCP doubts any path
	// (RFC 6298 §2), and as long again for those who gave it that long. Queues that hold longer are found as
	// segments that came from nowhere.
	patience = 3e9 // ns
)

// queue holds the pieces that are on their way from a place to the next, in the order of time.
type queue struct {
	list []piece
	head int
	bare bool    // some of it came without a timestamp
	late []piece // that others have overtaken
	high uint32  // end of the latter's last byte, where there are any
	// Two pieces of it hold the same bytes.
	repeats bool
}

// push adds a piece, and reports false where there is no room.
func (q *queue) push(p piece) bool {
	if len(q.list)-q.head >= mostWaiting {
		return false
	}
	if q.head > 32 && q.head > len(q.list)/2 {
		n := copy(q.list, q.list[q.head:])
		q.list, q.head = q.list[:n], 0
	}
	q.repeats = q.repeats && q.head < len(q.list)
	q.bare = q.bare || !p.stamped
	q.list = append(q.list, p)
	return true
}

// take removes what a transmission holds from the queue. It gives how much of the sequence space that
// was, and when it passed the place before.
func (q *queue) take(s *span) (got uint32, at int64, ok bool) {
	all := s.end - s.seq
	for _, exact := range []bool{true, false} {
		if !exact && s.stamped && !q.bare || got == all {
			break
		}
		if n, t := q.takeInOrder(s, exact, all-got); n > 0 {
			got, at, ok = got+n, t, true
		}
		if len(q.late) > 0 && before(s.seq, q.high) { // most come in order, and none of those was overtaken
			if n, t := q.takeLate(s, exact, all-got); n > 0 {
				got, at, ok = got+n, t, true
			}
		}
	}
	return got, at, ok
}

// takeInOrder takes so much from those that nobody has overtaken yet. What stands before the one that is
// taken is overtaken by it.
func (q *queue) takeInOrder(s *span, exact bool, most uint32) (got uint32, at int64) {
	const near = 64 // pieces, within which a repetition of one that has just passed is looked for
	left := near
	for i := q.head; i < len(q.list) && (got < most || q.repeats && left > 0); i++ {
		if got >= most {
			left--
		}
		p := &q.list[i]
		from, to, ok := p.overlap(s)
		if !ok {
			if got > 0 && !q.repeats {
				break
			}
			continue
		}
		if got >= most || !p.same(s, exact) || q.repeated(i, s, exact) {
			p.again = p.again || p.kind == s.kind
			continue
		}
		got, at = got+to-from, p.at
		for j := q.head; j < i; j++ {
			q.overtake(q.list[j])
		}
		q.head = i
		if !q.trim(p, from, to) {
			q.head = i + 1
		}
	}
	return got, at
}

// overtake puts a piece aside.
func (q *queue) overtake(p piece) {
	if len(q.late) >= mostWaiting {
		return
	}
	if len(q.late) == 0 || before(q.high, p.end) {
		q.high = p.end
	}
	q.late = append(q.late, p)
}

// trim takes a range out of a piece, and reports false where nothing is left of it.
func (q *queue) trim(p *piece, from, to uint32) bool {
	rest := *p
	rest.seq, rest.end = to, p.end
	switch {
	case from == p.seq && to == p.end:
		return false
	case from == p.seq:
		p.seq = to
	case to == p.end:
		p.end = from
	default:
		p.end = from
		q.overtake(rest)
	}
	return true
}

// repeated says of a SYN without a timestamp whether another copy of it went after it: Linux sends SYN-ACKs with the IP
// identification 0, and a copy goes a second or more later at the earliest (RFC 6298 §2), so the last is the one that came.
func (q *queue) repeated(i int, s *span, exact bool) bool {
	if s.kind != packet.SYN || s.stamped && q.list[i].stamped {
		return false
	}
	return slices.ContainsFunc(q.list[i+1:], func(p piece) bool { return p.kind == packet.SYN && p.seq == s.seq && p.same(s, exact) })
}

// takeLate takes so much from those that were overtaken, the newest first, and notes of the others that their
// bytes have passed now.
func (q *queue) takeLate(s *span, exact bool, most uint32) (got uint32, at int64) {
	for i := len(q.late) - 1; i >= 0; i-- {
		p := &q.late[i]
		from, to, ok := p.overlap(s)
		switch {
		case !ok:
		case got >= most || !p.same(s, exact):
			p.again = p.again || p.kind == s.kind
		default:
			got, at = got+to-from, p.at
			if !q.trim(p, from, to) {
				q.late = append(q.late[:i], q.late[i+1:]...)
			}
		}
	}
	return got, at
}

// expire removes what has waited since before a time, and calls gone for each.
func (q *queue) expire(until int64, gone func(*piece)) {
	for q.head < len(q.list) && q.list[q.head].at <= until {
		gone(&q.list[q.head])
		q.head++
	}
	n := 0
	for i := range q.late {
		if q.late[i].at <= until {
			gone(&q.late[i])
			n++
			continue
		}
		if n > 0 {
			q.late[i-n] = q.late[i]
		}
	}
	q.late = q.late[:len(q.late)-n]
	if q.head == len(q.list) {
		q.list, q.head = q.list[:0], 0
		q.repeats = false
	}
}

// due says whether expire would find anything; late ones may be out of order by what one was held up.
func (q *queue) due(until int64) bool {
	return q.head < len(q.list) && q.list[q.head].at <= until || len(q.late) > 0 && q.late[0].at <= until
}

// holds says whether anything of a span waits.
func (q *queue) holds(s *span) bool {
	overlaps := func(p piece) bool {
		_, _, ok := p.overlap(s)
		return ok
	}
	return slices.ContainsFunc(q.list[q.head:], overlaps) || slices.ContainsFunc(q.late, overlaps)
}

// len counts what waits.
func (q *queue) len() int { return len(q.list) - q.head + len(q.late) }
