package taps

import "github.com/spikebox/spikebox/analyzer/packet"

// Firewalls may give a connection other sequence numbers (for hosts whose own can be guessed: "sequence number
// randomization"). Behind one, no segment can be found again, and what is seen there must not be told of together
// with what is seen before: the same ends, and two numberings.

// farApart is how far the numbers that one side sends lie apart where they are of two numberings, in bytes: no path
// holds as much between two places. Of two that are chosen at random one pair in 32 lies nearer.
const farApart = 1 << 26

// renumbers says of a SYN that differs from the one that began the connection whether it is that one, renumbered on its
// way to another input, rather than that of another connection.
func (c *conn) renumbers(p *packet.Packet, where int) bool {
	s := c.home
	return s >= 0 && c.spots[s].place != where && c.input != p.Input && max(p.Time, c.synAt)-min(p.Time, c.synAt) < patience &&
		sameStamp(p.TSval, c.synTS)
}

// otherNumbers says of a spot whether it has its own numbering, and notes it.
func (t *Tracker) otherNumbers(c *conn, i, dir int, p *packet.Packet) bool {
	s := &c.spots[i]
	if s.renumbered || s.joined || i == c.home || c.home < 0 || c.input == p.Input {
		return s.renumbered
	}
	home := &c.spots[c.home].dirs[dir]
	if home.packets == 0 || p.Flags&packet.RST != 0 { // a RST may have any number
		return false
	}
	begins := p.Flags&(packet.SYN|packet.ACK) == packet.SYN && p.Seq != c.isn
	if apart := int32(p.Seq - home.seq); begins || apart > farApart || apart < -farApart {
		s.renumbered = true
		t.Renumbered++
	}
	return s.renumbered
}
