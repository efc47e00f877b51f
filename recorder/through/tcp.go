package through

import "time"

const (
	// stallAfter is for how long nothing may come back: timers of TCP fire after 200 ms at least (Linux) or a second
	// (RFC 6298), and by then the segment was sent again twice, as a probe and by the timer.
	stallAfter = uint64(600 * time.Millisecond)
	stallAgain = 2
	// reordered is by how much a segment may be late without having been sent again, where it bears neither
	// a timestamp nor an ID: paths of one bundle differ by less (RFC 8985, 6.2 begins with a quarter of the round trip).
	reordered = uint64(3 * time.Millisecond)
	// probed is within what time the last segment again is a probe of the tail, which Linux sends when an acknowledgement is late
	// by some ms: on a LAN those are delayed ones, and nothing was lost. Where it is alone under way the probe waits for 200 ms more
	// (RFC 8985, 7.2; net/ipv4/tcp_output.c, tcp_schedule_loss_probe, Linux 6.18).
	probed = uint64(200 * time.Millisecond)
	// farthest is how far a sequence number may be from the highest: the largest window that Linux takes by default is 6 MiB
	// (tcp_rmem). What is farther is no part of what was seen.
	farthest = 1 << 24
	// many is how many must wait for one service to be all counted: fewer are one client's, which opens some at once.
	many = 3
)

// conn is a connection on one interface.
type conn struct {
	key             uint64 // 0: nobody's
	service, client uint64 // the one end, and the address of the other
	seen            uint64
	forwarded       bool
	closing         bool
	goesOn          bool   // the client has asked, and sent more a second later
	question        uint64 // the client's first data since the service's last; 0: none
	ways            [2]way // by who sends: the service, the client
}

// way is what one side sends. The top is the highest byte of it.
type way struct {
	heard    uint64 // its newest packet
	asked    uint64 // the first of its data that the other side has sent nothing after; 0: none
	repeated uint64 // its newest that was sent again
	lost     uint64 // and that had been lost, as it was no probe
	topAt    uint64
	top      uint32
	topStamp uint32
	again    uint32 // since asked
	topID    uint16
	begun    bool
	out      bool // it leaves by this interface
}

// addTCP takes a segment.
func (t *Table) addTCP(p *Packet, s *segment) {
	c := &t.conns[s.key%connPlaces]
	switch {
	case c.key != s.key:
		// Handshakes make no entry: those that are never answered would take all places.
		if s.flags&(flagSYN|flagRST|flagFIN) != 0 || c.forwarded && since(p.At, c.seen) < placeStays {
			return
		}
		*c = conn{key: s.key, service: s.end[0], client: s.addr[1]}
	case s.flags&(flagSYN|flagRST) != 0:
		*c = conn{}
		return
	}
	c.seen = max(c.seen, p.At)
	c.forwarded = c.forwarded || p.Forwarded
	c.closing = c.closing || s.flags&flagFIN != 0
	w, other := &c.ways[s.sender], &c.ways[1-s.sender]
	w.heard, w.out = max(w.heard, p.At), p.Out
	if p.At > other.asked {
		other.asked, other.again = 0, 0
	}
	if s.payload <= 1 { // one byte is a keep-alive, or a probe of a closed window
		return
	}
	again, lost := w.repeats(p, s)
	switch {
	case s.sender == 0:
		t.replies(c, p.At)
	case !again && p.At >= other.heard:
		c.asks(p.At)
	}
	if p.At > other.heard && w.asked == 0 {
		w.asked = p.At
	}
	if again {
		w.again++
		w.repeated = p.At
	}
	if lost {
		w.lost = p.At
	}
	if !c.forwarded || p.Out {
		return
	}
	sent := &t.sum.Sent[s.sender]
	sent.Bytes += uint64(s.payload)
	if lost {
		sent.Again += uint64(s.payload)
	}
}

// repeats says whether data was sent again, and remembers the highest. What only overtook was sent before
// the highest: an older timestamp tells, within one tick of its clock the ID, which Linux counts up. lost leaves out probes.
func (w *way) repeats(p *Packet, s *segment) (again, lost bool) {
	end := s.seq + s.payload
	ahead := int32(end - w.top)
	if !w.begun || ahead > 0 || ahead < -farthest {
		w.begun, w.top, w.topAt, w.topStamp, w.topID = true, end, p.At, s.stamp, s.id
		return false, false
	}
	switch {
	case p.At < w.topAt: // of another CPU's packets
	case s.stamped && s.stamp != w.topStamp:
		again = int32(s.stamp-w.topStamp) > 0
	case s.id != 0 || w.topID != 0:
		again = int16(s.id-w.topID) > 0
	default:
		again = p.At-w.topAt > reordered
	}
	return again, again && (ahead < 0 || p.At-w.topAt >= probed)
}

// lossy counts the connections of which something was sent again just now.
func (t *Table) lossy(now uint64) (n int) {
	for i := range t.conns {
		c := &t.conns[i]
		if !c.forwarded {
			continue
		}
		for d := range c.ways {
			if w := &c.ways[d]; w.lost != 0 && !w.out && since(now, w.lost) < lossyFor {
				n++
				break
			}
		}
	}
	return n
}

// stalls says whether a side of a connection sends again and again, and has heard nothing since.
func (t *Table) stalls(c *conn, d int, now uint64) bool {
	w, other := &c.ways[d], &c.ways[1-d]
	return w.asked > t.lapsed && w.again >= stallAgain && since(now, w.asked) > stallAfter && since(now, w.repeated) < told &&
		other.heard != 0 && other.heard < w.asked
}

// silence is a service that some wait for.
type silence struct {
	waiting [2]int // by side: seen coming in, and going out
	asked   uint64 // by the first of them
	heard   uint64 // and when the service was last
}

// stalled counts the connections of which one side has sent again for a while and heard nothing: all of those to a
// service that has been silent to everybody since, and one for each client of others, and each client that is silent
// itself: who goes out of reach leaves many connections.
func (t *Table) stalled(now uint64) int {
	clear(t.silent)
	for i := range t.conns {
		if c := &t.conns[i]; c.forwarded && !c.closing && t.stalls(c, 1, now) {
			t.waits(c.service, c.ways[1].out, c.ways[1].asked)
		}
	}
	for i := range t.conns {
		c := &t.conns[i]
		if s := t.silent[c.service]; s != nil && c.forwarded {
			s.heard = max(s.heard, c.ways[0].heard)
		}
	}
	clear(t.clients)
	for i := range t.conns {
		c := &t.conns[i]
		if !c.forwarded || c.closing {
			continue
		}
		if s := t.silent[c.service]; t.stalls(c, 0, now) || s != nil && !s.all() && t.stalls(c, 1, now) {
			t.clients[c.client] = true
		}
	}
	return t.counted() + len(t.clients)
}

// waits notes that somebody waits for a service.
func (t *Table) waits(service uint64, out bool, asked uint64) {
	s := t.silent[service]
	if s == nil {
		s = &silence{asked: asked}
		t.silent[service] = s
	}
	s.asked = min(s.asked, asked)
	if out {
		s.waiting[1]++
	} else {
		s.waiting[0]++
	}
}

// most is how many wait, seen from the side that sees more of it.
func (s *silence) most() int { return max(s.waiting[0], s.waiting[1]) }

// all says whether a service is silent to everybody, and not to one client.
func (s *silence) all() bool { return s.heard < s.asked && s.most() >= many }

// counted are those that wait for services that are silent to all. Where addresses are translated a
// service has one name on each side, and the side that sees more counts.
func (t *Table) counted() int {
	var sides [2]int
	for _, s := range t.silent {
		if s.all() {
			sides[0] += s.waiting[0]
			sides[1] += s.waiting[1]
		}
	}
	return max(sides[0], sides[1])
}
