package pkt

import (
	"bufio"
	"encoding/binary"
	"io"
	"math/rand/v2"
	"net/netip"
)

const (
	concurrent = 512  // connections at once
	exchanges  = 2    // requests on each connection
	answer     = 8    // segments of each answer
	segment    = 1448 // bytes in each
)

// Traffic writes a pcap file of that many HTTP-like connections to one server, 34 packets each and
// more where a segment was lost: headers only, as a recorder keeps them. Every fiftieth segment is
// lost behind the tap and repeated after SACK.
func Traffic(w io.Writer, connections int) (packets int, err error) {
	out := bufio.NewWriterSize(w, 1<<20)
	g := &generator{out: out, now: 1.7e18, rand: rand.New(rand.NewPCG(1, 2))}
	if _, err := out.Write(Pcap(binary.LittleEndian, true, 1)); err != nil {
		return 0, err
	}
	slots := make([]*connection, 0, concurrent)
	for begun := 0; begun < connections || len(slots) > 0; {
		for len(slots) < concurrent && begun < connections {
			slots = append(slots, g.connection(begun))
			begun++
		}
		i := g.rand.IntN(len(slots))
		if !g.step(slots[i]) {
			slots[i] = slots[len(slots)-1]
			slots = slots[:len(slots)-1]
		}
	}
	return g.packets, out.Flush()
}

// generator writes packets.
type generator struct {
	out     *bufio.Writer
	now     int64
	rand    *rand.Rand
	packets int
	record  [16]byte
}

// connection is one connection that is being written.
type connection struct {
	client, server netip.AddrPort
	seq, ack       uint32 // of the client: next to send and next to expect
	id             uint16
	todo           []TCP // packets not yet written; From says which side
}

// connection returns a connection with all its packets laid out.
func (g *generator) connection(n int) *connection {
	addr := netip.AddrFrom4([4]byte{10, byte(n / 20000), 0, 1})
	c := &connection{
		client: netip.AddrPortFrom(addr, uint16(20000+n%20000)),
		server: netip.MustParseAddrPort("10.200.0.1:80"),
		seq:    g.rand.Uint32(), ack: g.rand.Uint32(),
	}
	c.add(true, TCP{Flags: 2, Options: SYNOptions(1460, 7, c.stamp(), 0)})
	c.seq++
	c.add(false, TCP{Flags: 18, Options: SYNOptions(1460, 7, c.stamp(), 1)})
	c.ack++
	c.add(true, TCP{Flags: 16})
	for range exchanges {
		c.add(true, TCP{Flags: 24, Payload: 120})
		c.seq += 120
		c.add(false, TCP{Flags: 16})
		g.answer(c)
	}
	c.add(false, TCP{Flags: 17})
	c.ack++
	c.add(true, TCP{Flags: 17})
	c.seq++
	c.add(false, TCP{Flags: 16})
	return c
}

// answer lays out an answer of the server with the client's acknowledgements, every other segment
// or, after a loss, every one.
func (g *generator) answer(c *connection) {
	lost := -1
	if g.rand.IntN(50/answer) == 0 {
		lost = g.rand.IntN(answer - 4)
	}
	first := c.ack
	for i := range answer {
		c.ack = first + uint32(i)*segment
		c.add(false, TCP{Flags: 16, Payload: segment})
		// Every second segment is acknowledged (RFC 1122 §4.2.3.2), and each one above a gap
		// (RFC 5681 §4.2).
		if lost >= 0 && i > lost {
			hole := first + uint32(lost)*segment
			c.ack = hole
			c.add(true, TCP{Flags: 16, Options: append(Timestamps(c.stamp(), 1),
				SACK(hole+segment, first+uint32(i+1)*segment)...)})
		} else if lost < 0 && i%2 == 1 {
			c.ack += segment
			c.add(true, TCP{Flags: 16})
		}
	}
	if lost >= 0 {
		c.ack = first + uint32(lost)*segment
		c.add(false, TCP{Flags: 16, Payload: segment})
	}
	c.ack = first + answer*segment
	if lost >= 0 {
		c.add(true, TCP{Flags: 16})
	}
}

// stamp is the timestamp of a host.
func (c *connection) stamp() uint32 { return 1000 + uint32(len(c.todo)) }

// add lays out one packet of the client, or of the server.
func (c *connection) add(fromClient bool, p TCP) {
	c.id++
	p.ID, p.Window = c.id, 60000
	if p.Options == nil {
		p.Options = Timestamps(c.stamp(), 1)
	}
	p.Src, p.Dst, p.Seq, p.Ack = c.client, c.server, c.seq, c.ack
	if !fromClient {
		p.Src, p.Dst, p.Seq, p.Ack = c.server, c.client, c.ack, c.seq
	}
	if p.Flags == 2 {
		p.Ack = 0
	}
	c.todo = append(c.todo, p)
}

// step writes the next packet of a connection and reports whether there are more.
func (g *generator) step(c *connection) bool {
	p := c.todo[0]
	c.todo = c.todo[1:]
	payload := p.Payload
	p.Payload = 0
	frame := p.Frame()
	binary.BigEndian.PutUint16(frame[16:], uint16(len(frame)-14+payload))
	g.now += 1000 + g.rand.Int64N(1000)
	binary.LittleEndian.PutUint32(g.record[:], uint32(g.now/1e9))
	binary.LittleEndian.PutUint32(g.record[4:], uint32(g.now%1e9))
	binary.LittleEndian.PutUint32(g.record[8:], uint32(len(frame)))
	binary.LittleEndian.PutUint32(g.record[12:], uint32(len(frame)+payload))
	g.out.Write(g.record[:]) // bufio keeps the error for Flush
	g.out.Write(frame)
	g.packets++
	return len(c.todo) > 0
}
