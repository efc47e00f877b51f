package taps

import (
	"net/netip"

	"github.com/spikebox/spikebox/analyzer/packet"
)

// conn is a connection, whatever the places at which it passes call its ends.
type conn struct {
	views []view // by which its packets are found; those beyond the first are translated
	spots []spot // places that it passes, in the order of their first packets
	home  int    // the spot at which it is told of; -1 before there is one

	client   int    // the direction that the client sends
	isn      uint32 // of the client, where opened
	opened   bool   // its SYN was seen
	synAt    int64  // Unix ns of the last SYN with it
	synTS    uint32 // and its TSval, 0 without one
	input    uint16 // that the home is of
	answered bool   // something came back
	mss      uint32 // the least that was announced

	first, seen int64  // Unix ns of its first and last packet
	syns        uint32 // that were seen at the first spot
	reset       int64  // Unix ns of its first RST, 0 without one: what is sent after it goes nowhere
	prev, next  *conn  // neighbours in the order of their last packets
	gone        bool   // it has ended, and an index may still name it
	partial     bool   // only its SYNs were looked at
}

// view is a pair of ends; flip says that the higher one sends direction 0.
type view struct {
	ends tuple
	flip bool
}

// direction gives the direction of a packet of the view.
func (v view) direction(fromHigh bool) int {
	if fromHigh != v.flip {
		return 1
	}
	return 0
}

// sender gives the end that sends a direction.
func (v view) sender(dir int) netip.AddrPort {
	if (dir == 1) != v.flip {
		return netip.AddrPortFrom(v.ends.high.Netip(v.ends.v6), v.ends.highPort)
	}
	return netip.AddrPortFrom(v.ends.low.Netip(v.ends.v6), v.ends.lowPort)
}

// spot is a connection at one place.
type spot struct {
	place  int
	view   int
	joined bool // packets of it were seen at another place, too
	told   bool // some of its packets had no other home
	// Its sequence numbers are not those of the home.
	renumbered bool
	dirs       [2]stream
}

// stream is one direction of a connection at one place.
type stream struct {
	from, to int // spots before and behind it on the way; -1 where none is known
	packets  uint32
	seq      uint32 // of the last packet
	since    int64  // Unix ns when from was found
	ack      uint32 // highest acknowledgement of this direction's data that came by here on the way back
	acked    bool
	sent     uint32 // end of the newest that passed, where sending
	sending  bool
	ahead    queue // passed here, and not yet the spot behind
	early    queue // passed here, and not yet the spot before: two clocks, or two rings of one
	// SYNs that were given up before the spot behind was known.
	lostSYNs int
	lostAt   int64 // Unix ns of the first
}

// newConn makes a connection of its first packet.
func newConn(p *packet.Packet, ends tuple, fromHigh bool) *conn {
	c := &conn{views: []view{{ends, fromHigh}}, home: -1, first: p.Time}
	// Who sent the SYN is the client; without one, the lower port is the server.
	if p.SrcPort < p.DstPort && p.Flags&packet.SYN == 0 || p.Flags.Has(packet.SYN|packet.ACK) {
		c.client = 1
	}
	return c
}

// spot gives the index of a place among the connection's, and makes it where it is new.
func (c *conn) spot(place, view int) int {
	for i := range c.spots {
		if c.spots[i].place == place && c.spots[i].view == view {
			return i
		}
	}
	s := spot{place: place, view: view}
	for d := range s.dirs {
		s.dirs[d].from, s.dirs[d].to = -1, -1
	}
	c.spots = append(c.spots, s)
	return len(c.spots) - 1
}

// server gives the server's end as a spot has it.
func (c *conn) server(spot int) netip.AddrPort {
	return c.views[c.spots[spot].view].sender(1 - c.client)
}

// clientAt gives the client's end as a spot has it.
func (c *conn) clientAt(spot int) netip.AddrPort {
	return c.views[c.spots[spot].view].sender(c.client)
}

// full gives the payload of a full segment.
func (c *conn) full(s *span) uint32 {
	size := c.mss
	if size == 0 {
		size = 1460
		if c.views[0].ends.v6 {
			size = 1440
		}
	}
	if s.stamped && size > 12 {
		size -= 12
	}
	return max(size, 1)
}

// segments counts the segments of a piece of the sequence space, as the kernel does.
func (c *conn) segments(s *span, n uint32) uint64 {
	size := c.full(s)
	return uint64((n + size - 1) / size)
}

// size gives the bytes of the largest segment that a piece is sent as.
func (c *conn) size(s *span) uint32 { return min(s.end-s.seq, c.full(s)) }

// options takes what a SYN says.
func (c *conn) options(p *packet.Packet) {
	if p.Opts.Has(packet.OptMSS) && p.MSS > 0 && (c.mss == 0 || uint32(p.MSS) < c.mss) {
		c.mss = uint32(p.MSS)
	}
}
