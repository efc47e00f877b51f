//go:build linux

package capture

import (
	"time"

	"golang.org/x/sys/unix"

	"github.com/spikebox/spikebox/recorder/host"
)

// keep holds the blocks with packets from a time on (zero: all).
func (p *Packets) keep(since time.Time, clock *host.Past, lo bool) []part {
	p.takeOver()
	first := p.tail
	t := &socketPart{ring: p, to: p.head, clock: clock, lo: lo}
	if !since.IsZero() {
		t.since = wall(since, clock)
		// A block has no packet that is later than the look that found it finished, whatever the
		// wall clock said meanwhile. What is too old within a block the cursor leaves out.
		for first < p.head && p.pass(first).until.Before(since) {
			first++
		}
	}
	p.hold, t.from = first, first
	// Copied, since the ring goes on while the cut is written.
	for n := t.from; n <= t.to; n++ {
		t.passes = append(t.passes, p.pass(n))
	}
	// Of the block that the kernel is filling, what is in it now. Where the ring is full there
	// is none: head has come round to the oldest block, which is not the kernel's but waits to
	// be given back, and to read it as the newest would put old packets behind new ones.
	if !p.full() {
		t.open = p.block(p.head).packets()
	}
	return []part{t}
}

// socketPart is what a cut holds of one packet socket's ring.
type socketPart struct {
	ring     *Packets
	from, to uint64 // the finished blocks
	open     int    // packets of block to, which the kernel had not finished; often 0
	passes   []pass // of the blocks, that of to last
	since    int64  // older packets are left out; on the cut's clock
	clock    *host.Past
	lo       bool // the copies of leaving packets are left out
}

// socketCursor goes through the packets in the ring's order.
type socketCursor struct {
	*socketPart
	blk  uint64
	b    block
	off  int
	left int // packets of the block from off on

	stamps host.Stamps
}

// blocks counts the finished ones and the open one.
func (p *socketPart) blocks() int { return int(p.to-p.from) + 1 }

func (p *socketPart) ahead() int { return reorderPackets }

// done lets the kernel have the blocks before one.
func (p *socketPart) done(block int) { p.ring.letGo(p.from + uint64(block)) }

// late says whether the kernel is still copying packets of the open block.
func (p *socketPart) late() bool { return p.arrived() < p.open }

// settle leaves out what has not arrived.
func (p *socketPart) settle() { p.open = p.arrived() }

// arrived counts the packets of the open block that are all there.
func (p *socketPart) arrived() int {
	if p.open == 0 {
		return 0
	}
	b := p.ring.block(p.to)
	off := b.first()
	for i := range p.open {
		q := b.packet(off)
		if !q.arrived() {
			return i
		}
		off += q.next()
	}
	return p.open
}

// cursor begins at the oldest packet.
func (p *socketPart) cursor() cursor {
	c := &socketCursor{socketPart: p, blk: p.from, stamps: p.clock.Stamps()}
	c.enter()
	return c
}

// enter begins the block blk.
func (c *socketCursor) enter() {
	switch {
	case c.blk < c.to:
		c.b = c.ring.block(c.blk)
		c.left = c.b.packets()
	case c.blk == c.to && c.open > 0:
		c.b = c.ring.block(c.blk)
		c.left = c.open
	default:
		c.left = 0
		return
	}
	c.off = c.b.first()
	filled := c.passes[c.blk-c.from]
	c.stamps.Between(filled.after, filled.until)
}

// next returns the next packet, until there is none.
func (c *socketCursor) next() (record, bool) {
	for {
		for c.left == 0 {
			if c.blk >= c.to {
				return record{}, false
			}
			c.blk++
			c.enter()
		}
		p := c.b.packet(c.off)
		c.off += p.next()
		c.left--
		at := c.stamps.Place(p.time())
		if at < c.since || c.lo && p.kind() == unix.PACKET_OUTGOING {
			continue
		}
		r := record{at: at, block: int(c.blk - c.from), data: p.data(), wire: p.wire(), kind: p.kind()}
		r.tag, r.tagged = p.vlan()
		return r, true
	}
}
