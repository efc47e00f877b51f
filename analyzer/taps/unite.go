package taps

import "github.com/spikebox/spikebox/analyzer/packet"

// unite finds that a connection has other ends elsewhere, by a packet of it that was seen there, and gives the one
// that both are. A SYN without a timestamp tells too little: its answer does.
func (t *Tracker) unite(c *conn, ends tuple, fromHigh bool, p *packet.Packet, where int, id uint64) *conn {
	e := t.seen(p, id)
	if e == nil || e.conn == c || !decisive(p) || !sameStamp(p.TSval, e.ts) || len(e.conn.views)+len(c.views) > mostViews || !e.translates(p, where) {
		return c
	}
	v := e.conn.views[e.view]
	// A flood may send the same SYN from any address: one end must be the same.
	if p.Flags&packet.ACK == 0 && (p.TSval != e.ts || len(c.spots) > 0 ||
		p.SrcAddrPort() != v.sender(int(e.dir)) && p.DstAddrPort() != v.sender(1-int(e.dir))) {
		return c
	}
	t.active = max(t.active, 2)
	other, flip := e.conn, c.views[c.viewOf(ends)].direction(fromHigh) != int(e.dir)
	if len(c.spots) > 0 && c.first < other.first {
		e.view += uint8(len(c.views))
		if e.conn = c; flip {
			e.dir = 1 - e.dir
		}
		t.absorb(c, other, flip)
		return c
	}
	t.absorb(other, c, flip)
	other.leave()
	t.latest(other)
	other.seen = p.Time
	return other
}

// absorb takes what is known of another connection, which is gone then. Flip says that what one calls direction 0 is
// the other's 1.
func (t *Tracker) absorb(c, other *conn, flip bool) {
	dir := func(d int) int { return d }
	if flip {
		dir = func(d int) int { return 1 - d }
	}
	view, spot := len(c.views), len(c.spots)
	for _, v := range other.views {
		v.flip = v.flip != flip
		c.views = append(c.views, v)
		t.views[v.ends] = c
	}
	for _, s := range other.spots {
		if s.view += view; flip {
			s.dirs[0], s.dirs[1] = s.dirs[1], s.dirs[0]
		}
		for d := range s.dirs {
			if st := &s.dirs[d]; st.from >= 0 {
				st.from += spot
			}
			if st := &s.dirs[d]; st.to >= 0 {
				st.to += spot
			}
		}
		c.spots = append(c.spots, s)
	}
	if c.home < 0 && other.home >= 0 {
		c.home, c.input = other.home+spot, other.input
	}
	if !c.opened && other.opened {
		c.opened, c.isn, c.client = true, other.isn, dir(other.client)
		c.synAt, c.synTS = other.synAt, other.synTS
	}
	c.answered = c.answered || other.answered
	if other.mss > 0 && (c.mss == 0 || other.mss < c.mss) {
		c.mss = other.mss
	}
	if other.reset > 0 && (c.reset == 0 || other.reset < c.reset) {
		c.reset = other.reset
	}
	other.leave()
	other.gone, other.spots = true, nil
}

// translates says whether a packet may be the one that was seen, with other ends. Within a host, it came
// in and goes out; where that is not told, a SYN alone is too little.
func (e *print) translates(p *packet.Packet, where int) bool {
	if e.input != p.Input {
		return true
	}
	if e.way == packet.DirUnknown || p.Dir == packet.DirUnknown {
		return int(e.place) != where && p.Flags&packet.ACK != 0
	}
	return e.way == packet.DirIn && p.Dir == packet.DirOut
}
