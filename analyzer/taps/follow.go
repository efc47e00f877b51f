package taps

import (
	"net/netip"

	"github.com/spikebox/spikebox/analyzer/packet"
)

// join links a stream to the place that its packets come from, by a packet that was seen there.
func (t *Tracker) join(c *conn, i, dir int, p *packet.Packet, id uint64) {
	st := &c.spots[i].dirs[dir]
	if st.from >= 0 || len(c.spots) < 2 {
		return
	}
	e := t.seen(p, id)
	if e == nil || e.conn != c || int(e.dir) != dir {
		return
	}
	j := c.spot(int(e.place), int(e.view))
	st = &c.spots[i].dirs[dir]
	if j == i || c.leads(i, j, dir) {
		return // it went from here to there, and now it is captured the other way round
	}
	before := &c.spots[j].dirs[dir]
	st.from, st.since = j, p.Time
	before.to = i // of several the latest: the other file may have ended
	pair, way := t.way(c, j, i, dir)
	if pair == nil {
		return
	}
	if !c.spots[i].joined || !c.spots[j].joined {
		pair.Conns++
		a, b := j, i
		if way == &pair.Ways[1] {
			a, b = i, j
		}
		pair.translation(c.server(a), c.server(b))
	}
	c.spots[i].joined, c.spots[j].joined = true, true
	t.catchUp(c, j, i, dir)
	if before.lostSYNs > 0 && t.places[c.spots[i].place].first <= before.lostAt {
		way.lose(&loss{server: c.server(j), client: c.clientAt(j), segments: uint64(before.lostSYNs), at: before.lostAt})
	}
	before.lostSYNs = 0
}

// catchUp finds what had come to a place before it was known from where: by other ends, and the two were one
// connection only when both had shown a packet that tells.
func (t *Tracker) catchUp(c *conn, from, to, dir int) {
	before, here := &c.spots[from].dirs[dir].ahead, &c.spots[to].dirs[dir].ahead
	for i := here.head; i < len(here.list); i++ {
		p := &here.list[i]
		n := before.len()
		got, at, ok := before.take(&p.span)
		t.queued += before.len() - n
		if ok {
			t.passed(c, from, to, dir, &p.span, got, at, p.at)
		}
	}
}

// leads says whether the way from spot i already leads to spot j.
func (c *conn) leads(i, j, dir int) bool {
	for n := 0; i >= 0 && n <= len(c.spots); n++ {
		if i == j {
			return true
		}
		i = c.spots[i].dirs[dir].to
	}
	return false
}

// follow counts a segment that has come from the place before, and waits for it at the one behind.
func (t *Tracker) follow(c *conn, i, dir int, p *packet.Packet, id uint64) {
	st := &c.spots[i].dirs[dir]
	if until := p.Time - patience; st.ahead.due(until) || st.early.due(until) {
		t.expire(c, i, dir, until)
	}
	s, ok := spanOf(p)
	if !ok {
		return
	}
	if p.More {
		s.room = c.full(&s)
	}
	if st.from >= 0 {
		t.arrive(c, i, dir, s, p, id)
	}
	if st.to < 0 && st.from >= 0 {
		return // the last place
	}
	if st.to >= 0 {
		early := &c.spots[st.to].dirs[dir].early
		n := early.len()
		got, at, ok := early.take(&s)
		t.queued += early.len() - n
		if ok {
			t.passed(c, i, st.to, dir, &s, got, p.Time, at)
			return
		}
	}
	const unjoined = 64 // until it is known whether it is seen anywhere else
	if t.queued >= mostQueued || st.to < 0 && st.ahead.len() >= unjoined {
		if st.to >= 0 {
			t.Unfollowed++
		}
		return
	}
	copied := st.copied(&s)
	if st.ahead.push(piece{span: s, at: p.Time, frame: p.Frame, copied: copied}) {
		t.queued++
	} else {
		t.Unfollowed++
	}
}

// copied says of what is sent whether another copy of it has gone, all of which is behind by now, and takes
// note of it.
func (st *stream) copied(s *span) bool {
	if !st.sending || before(st.sent, s.end) {
		st.sent, st.sending = s.end, true
		return false
	}
	held := st.ahead.holds(s)
	st.ahead.repeats = st.ahead.repeats || held
	return !held
}

// arrive counts a segment at a place that others lead to.
func (t *Tracker) arrive(c *conn, i, dir int, s span, p *packet.Packet, id uint64) {
	st := &c.spots[i].dirs[dir]
	from := st.from
	for {
		ahead := &c.spots[st.from].dirs[dir].ahead
		n := ahead.len()
		got, at, ok := ahead.take(&s)
		t.queued += ahead.len() - n
		if ok {
			t.passed(c, st.from, i, dir, &s, got, at, p.Time)
			return
		}
		// It may have come by another place: a bond's other slave, or the next file of the same capture.
		if st.from != from {
			break
		}
		st.from = -1
		t.join(c, i, dir, p, id)
		if st.from < 0 || st.from == from {
			st.from = from
			break
		}
	}
	if t.queued < mostQueued && st.early.push(piece{span: s, at: p.Time, frame: p.Frame}) {
		t.queued++
	}
}

// passed counts what has passed both places, sent before and come behind.
func (t *Tracker) passed(c *conn, from, to, dir int, s *span, n uint32, sent, came int64) {
	if _, way := t.way(c, from, to, dir); way != nil {
		way.pass(c.server(from), c.segments(s, n), min(n, c.size(s)), dir == c.client, sent, came)
	}
}

// expire gives up what is on its way for too long.
func (t *Tracker) expire(c *conn, i, dir int, until int64) {
	st := &c.spots[i].dirs[dir]
	n := st.ahead.len() + st.early.len()
	st.ahead.expire(until, func(p *piece) { t.lost(c, i, dir, p) })
	st.early.expire(until, func(p *piece) { t.extra(c, i, dir, p) })
	t.queued += st.ahead.len() + st.early.len() - n
}

// lost says what has become of a piece that has not come to the place behind.
func (t *Tracker) lost(c *conn, i, dir int, p *piece) {
	st := &c.spots[i].dirs[dir]
	if st.to < 0 {
		if p.kind == packet.SYN && st.from < 0 {
			if st.lostSYNs++; st.lostSYNs == 1 {
				st.lostAt = p.at
			}
		}
		return
	}
	to := &c.spots[st.to]
	behind := &t.places[to.place]
	_, way := t.way(c, i, st.to, dir)
	if way == nil || p.at < behind.first || c.reset != 0 && p.at > c.reset {
		return
	}
	n := c.segments(&p.span, p.end-p.seq)
	// It was acknowledged, and no copy of it has come by: it got there.
	if back := &to.dirs[dir]; back.acked && !before(back.ack, p.end) && !p.again && !p.copied && p.kind != packet.RST {
		way.Unseen += n
		return
	}
	way.miss(loss{c.server(i), c.clientAt(i), n, c.size(&p.span), p.at, p.frame}, behind.last)
}

// extra says what has become of a piece that has not come from the place before.
func (t *Tracker) extra(c *conn, i, dir int, p *piece) {
	st := &c.spots[i].dirs[dir]
	if st.from < 0 || p.at < st.since+patience && !c.opened {
		return // what was on its way when the two places were joined
	}
	before := c.spots[st.from].place
	_, way := t.way(c, st.from, i, dir)
	if way == nil || p.at > t.places[before].last || p.at < t.places[before].first {
		return
	}
	n := c.segments(&p.span, p.end-p.seq)
	way.Extra += n
	if p.kind == packet.RST {
		way.Reset += n
	}
}

// end gives up a connection.
func (t *Tracker) end(c *conn) {
	for i := range c.spots {
		for dir := range c.spots[i].dirs {
			t.expire(c, i, dir, 1<<62)
		}
	}
	t.unreturned(c)
	t.attempted(c)
	for _, v := range c.views {
		if t.views[v.ends] == c {
			delete(t.views, v.ends)
		}
	}
	c.leave()
	c.gone = true
	c.spots = nil
}

// unreturned counts SYN-ACKs that came to a place and to no other, where the SYNs came to it from one that answers of
// the same service pass behind it: a connection of which every answer is lost never joins the two that way. Where none
// of them ever passed, answers may take another way.
func (t *Tracker) unreturned(c *conn) {
	dir := 1 - c.client
	for i := range c.spots {
		st, there := &c.spots[i].dirs[dir], c.spots[i].dirs[c.client].from
		if st.lostSYNs == 0 || st.from >= 0 || there < 0 {
			continue
		}
		_, way := t.way(c, i, there, dir)
		if way == nil || way.Services[c.server(i)] == nil || way.Services[c.server(i)].Passed == 0 {
			continue
		}
		way.miss(loss{server: c.server(i), client: c.clientAt(i), segments: uint64(st.lostSYNs), at: st.lostAt}, t.places[c.spots[there].place].last)
	}
}

// attempt is a service as clients at a place ask for it.
type attempt struct {
	place  int
	server netip.AddrPort
}

// attempts are the connections to a service.
type attempts struct {
	seen      map[int]uint64 // by the place behind at which they were seen, too
	elsewhere uint64         // were answered, and seen nowhere else
	silent    []silent       // were neither
}

// silent is a connection of which nothing but SYNs was seen, at one place.
type silent struct {
	first, last int64
	syns        uint32
}

// attempted counts a connection that was opened.
func (t *Tracker) attempted(c *conn) {
	const most, mostSilent = 4096, 4096
	if !c.opened || c.partial || len(c.spots) == 0 {
		return
	}
	key := attempt{c.spots[0].place, c.server(0)}
	a := t.tries[key]
	if a == nil {
		if len(t.tries) >= most {
			return
		}
		a = &attempts{seen: map[int]uint64{}}
		t.tries[key] = a
	}
	to := c.spots[0].dirs[c.client].to
	switch {
	case to >= 0:
		a.seen[c.spots[to].place]++
	case c.answered:
		a.elsewhere++
	case len(a.silent) < mostSilent:
		a.silent = append(a.silent, silent{c.first, c.seen, c.syns})
	}
}

// count tells of attempts of which the place behind saw nothing, though it looked.
func (t *Tracker) count() {
	for key, a := range t.tries {
		for place := range a.seen {
			_, way := t.pair(key.place, place, key.place > place)
			if way == nil {
				continue
			}
			for _, s := range a.silent {
				switch behind := t.places[place]; {
				case s.first < behind.first || s.last > behind.last:
				case a.elsewhere > 0 || len(a.seen) > 1:
					way.Elsewhere++
				default:
					way.refuse(key.server, s)
				}
			}
		}
	}
}
