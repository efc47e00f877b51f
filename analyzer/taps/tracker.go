package taps

import (
	"net/netip"

	"github.com/spikebox/spikebox/analyzer/packet"
)

// Fate says what a packet is to those who tell of connections.
type Fate uint8

// The fates of packets.
const (
	Home       Fate = iota // it is seen for the first time, or where its connection is told of
	Elsewhere              // of a connection that is told of at another place
	Translated             // likewise, and what was told of its ends so far must be forgotten
)

// Tracker follows connections from place to place, which the caller numbers: interfaces of inputs. Memory is
// bounded: connections, their places, and the segments on their way.
type Tracker struct {
	places []place
	active int // places that have seen TCP

	views  map[tuple]*conn
	lru    conn // of connections, the least recently seen first
	prints []print
	// The last packets before there were several places, and how many there have been.
	waiting [mostOnWay]waiting
	waited  int
	pairs   map[[2]int]*Pair
	order   []*Pair
	tries   map[attempt]*attempts
	queued  int
	// Unfollowed counts segments that were not followed, as there is a bound to those on their way.
	Unfollowed uint64
	// Renumbered counts connections that have other sequence numbers at another input.
	Renumbered uint64
}

// place is what a tracker knows of a place.
type place struct {
	first, last int64 // Unix ns of its TCP packets
	foreign     bool
}

// waiting is a packet that may be on its way to a place that has not shown any yet.
type waiting struct {
	packet packet.Packet
	place  int
}

// print is where a packet was seen.
type print struct {
	id    uint64
	conn  *conn
	at    int64 // Unix ns
	place int32
	ts    uint32 // TSval, 0 without one
	input uint16
	view  uint8
	dir   uint8      // of the connection
	way   packet.Dir // through the interface
}

const (
	// Packets are found again among so many of the last ones, 4 MB.
	printed = 1 << 16
	// A connection that nobody has spoken on for so long has nothing on its way.
	idle = 60e9 // ns
	// mostConns bounds the memory to some 60 MB, mostQueued to 48 MB.
	mostConns  = 1 << 16
	mostQueued = 1 << 20
	mostPairs  = 256
	// Packets that may be on the way to a second place when that shows its first: 10 ms of 25,000 a second. 60 KB.
	mostOnWay = 256
	mostViews = 8 // of one connection
	// Packets of one way that come by at other places only: then the connection's home does not see that
	// way, and they are told of all the same.
	strayed = 8
)

// New makes a tracker. Unless it is known that there are several places, it follows nothing before it has
// seen a second one, and costs nothing.
func New(several bool) *Tracker {
	t := &Tracker{
		views: map[tuple]*conn{}, prints: make([]print, printed),
		pairs: map[[2]int]*Pair{}, tries: map[attempt]*attempts{},
	}
	t.lru.prev, t.lru.next = &t.lru, &t.lru
	if several {
		t.active = 2
	}
	return t
}

// Foreign says of a place that connections are not told of there.
func (t *Tracker) Foreign(place int) { t.place(place).foreign = true }

// place gives what is known of a place.
func (t *Tracker) place(i int) *place {
	for i >= len(t.places) {
		t.places = append(t.places, place{})
	}
	return &t.places[i]
}

// Span gives the times of the first and last TCP packet at a place, 0 without one.
func (t *Tracker) Span(place int) (first, last int64) {
	if place >= len(t.places) {
		return 0, 0
	}
	return t.places[place].first, t.places[place].last
}

// Add follows a packet that was seen at a place. Packets come about in the order of time.
func (t *Tracker) Add(p *packet.Packet, where int) Fate {
	if p.Kind != packet.TCP {
		return Home
	}
	at := t.place(where)
	if at.first == 0 {
		at.first = p.Time
		if t.active++; t.active == 2 {
			t.catchUpAll()
		}
	}
	at.last = max(at.last, p.Time)
	if t.active < 2 && (p.Dir == packet.DirUnknown || p.Flags&(packet.SYN|packet.ACK) != packet.SYN) {
		t.waiting[t.waited%mostOnWay], t.waited = waiting{*p, where}, t.waited+1
		return Home // nowhere to be seen again, but where a SYN shows that the interface translates
	}
	ends, fromHigh := tupleOf(p)
	id := identity(p)
	c := t.unite(t.find(ends, fromHigh, p, where), ends, fromHigh, p, where, id)
	v := c.viewOf(ends)
	dir := c.views[v].direction(fromHigh)
	i := c.spot(where, v)
	t.note(c, i, dir, p)
	if t.otherNumbers(c, i, dir, p) {
		return Elsewhere
	}
	t.join(c, i, dir, p, id)
	t.follow(c, i, dir, p, id)
	t.prints[id%printed] = print{
		id: id, conn: c, at: p.Time, place: int32(where), ts: p.TSval, input: p.Input, view: uint8(v), dir: uint8(dir), way: p.Dir,
	}
	return t.fate(c, i, dir)
}

// catchUpAll follows the packets that were on their way when a second place showed its first.
func (t *Tracker) catchUpAll() {
	for i := t.waited - min(t.waited, mostOnWay); i < t.waited; i++ {
		w := &t.waiting[i%mostOnWay]
		t.Add(&w.packet, w.place)
	}
}

// viewOf gives the index of the connection's ends.
func (c *conn) viewOf(ends tuple) int {
	for i := range c.views {
		if c.views[i].ends == ends {
			return i
		}
	}
	return 0
}

// find gives the connection of a packet, a new one where it is unknown.
func (t *Tracker) find(ends tuple, fromHigh bool, p *packet.Packet, where int) *conn {
	c := t.views[ends]
	if c != nil && c.replacedBy(p, fromHigh, where) {
		t.end(c)
		c = nil
	}
	if c == nil {
		c = newConn(p, ends, fromHigh)
		c.partial = t.active < 2
		t.views[ends] = c
	} else {
		c.leave()
	}
	t.latest(c)
	c.seen = p.Time
	for old := t.lru.next; old != c && (p.Time-old.seen > idle || len(t.views) > mostConns); old = t.lru.next {
		t.end(old)
	}
	return c
}

// leave takes a connection out of the list.
func (c *conn) leave() { c.prev.next, c.next.prev = c.next, c.prev }

// latest puts a connection at the end of the list.
func (t *Tracker) latest(c *conn) {
	c.prev, c.next = t.lru.prev, &t.lru
	c.prev.next, t.lru.prev = c, c
}

// replacedBy says whether a packet begins another connection between the same ends.
func (c *conn) replacedBy(p *packet.Packet, fromHigh bool, where int) bool {
	return c.opened && p.Flags&(packet.SYN|packet.ACK) == packet.SYN && p.Seq != c.isn &&
		c.views[c.viewOf(mustTuple(p))].direction(fromHigh) == c.client && !c.renumbers(p, where)
}

// mustTuple gives a packet's ends alone.
func mustTuple(p *packet.Packet) tuple {
	t, _ := tupleOf(p)
	return t
}

// seen gives where a packet was seen lately; nil where it was not.
func (t *Tracker) seen(p *packet.Packet, id uint64) *print {
	e := &t.prints[id%printed]
	if e.conn == nil || e.id != id || e.conn.gone || p.Time-e.at > patience {
		return nil
	}
	return e
}

// note takes what a packet says of its connection.
func (t *Tracker) note(c *conn, i, dir int, p *packet.Packet) {
	s := &c.spots[i]
	s.dirs[dir].packets++
	s.dirs[dir].seq = p.Seq
	if p.Flags&packet.RST != 0 && c.reset == 0 {
		c.reset = p.Time
	}
	switch {
	case p.Flags&(packet.SYN|packet.ACK) == packet.SYN:
		if !c.opened {
			c.opened, c.isn, c.client = true, p.Seq, dir
		}
		if p.Seq == c.isn {
			c.synAt, c.synTS = p.Time, p.TSval
		}
		c.options(p)
		if i == 0 {
			c.syns++
		}
	case p.Flags&packet.SYN != 0:
		c.options(p)
	}
	if dir != c.client {
		c.answered = true
	}
	if p.Flags&packet.ACK != 0 { // it acknowledges what the other direction sent
		if back := &s.dirs[1-dir]; !back.acked || before(back.ack, p.Ack) {
			back.ack, back.acked = p.Ack, true
		}
	}
	if c.home < 0 && !t.place(s.place).foreign {
		c.home, c.input = i, p.Input
	}
}

// fate says where a packet belongs.
func (t *Tracker) fate(c *conn, i, dir int) Fate {
	s := &c.spots[i]
	switch {
	case c.home < 0 || i == c.home:
	case s.view != c.spots[c.home].view:
		// Its first packets may not have been recognised, and were told of as a connection of their own.
		if s.told {
			s.told = false
			return Translated
		}
		return Elsewhere
	case !s.joined: // the same connection on another way, by a bond's other slave
	case c.spots[c.home].dirs[dir].packets == 0 && s.dirs[dir].packets > strayed && s.dirs[dir].from < 0:
	default:
		return Elsewhere
	}
	s.told = true
	return Home
}

// Finish gives the pairs, in the order in which they were found.
func (t *Tracker) Finish() []*Pair {
	for c := t.lru.next; c != &t.lru; c = t.lru.next {
		t.end(c)
	}
	t.count()
	for _, p := range t.order {
		for i := range p.Ways {
			p.Ways[i].finish(t.places[p.Ways[i].To].last)
		}
	}
	return t.order
}

// way gives the pair of two spots of a connection that follow each other in a direction, and the way of
// it; nil where there are too many.
func (t *Tracker) way(c *conn, from, to, dir int) (*Pair, *Way) {
	a, b := c.spots[from].place, c.spots[to].place
	back := a > b || a == b && dir != c.client // a translated connection may come and go by one interface
	return t.pair(a, b, back)
}

// pair gives the pair of two places, and one way of it.
func (t *Tracker) pair(from, to int, back bool) (*Pair, *Way) {
	a, b := min(from, to), max(from, to)
	p := t.pairs[[2]int{a, b}]
	if p == nil {
		if len(t.pairs) >= mostPairs {
			return nil, nil
		}
		p = &Pair{A: a, B: b}
		p.Ways[0] = Way{From: a, To: b}
		p.Ways[1] = Way{From: b, To: a}
		t.pairs[[2]int{a, b}] = p
		t.order = append(t.order, p)
	}
	if back {
		return p, &p.Ways[1]
	}
	return p, &p.Ways[0]
}

// translation notes that a service has other ends at B.
func (p *Pair) translation(atA, atB netip.AddrPort) {
	const most = 16
	if atA == atB || len(p.Translated) >= most {
		return
	}
	for _, t := range p.Translated {
		if t.A == atA && t.B == atB {
			return
		}
	}
	p.Translated = append(p.Translated, Translation{atA, atB})
}
