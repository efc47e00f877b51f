//go:build linux

package capture

import (
	"golang.org/x/sys/unix"

	"github.com/spikebox/spikebox/recorder/host"
)

// part is what a cut holds of one ring.
type part struct {
	ring     *Packets
	from, to uint64 // the finished blocks
	open     int    // packets of block to, which the kernel had not finished; often 0
	passes   []pass // of the blocks, that of to last
	since    int64  // older packets are left out; on the cut's clock
	clock    *host.Past
	lo       bool // the copies of leaving packets are left out
}

// cursor goes through a part's packets in the ring's order.
type cursor struct {
	*part
	blk  uint64
	b    block
	off  int
	left int   // packets of the block from off on
	at   int64 // of the packet that next gave, Unix ns on the cut's clock

	stamps host.Stamps
}

// cursor begins at the oldest packet.
func (p *part) cursor() cursor {
	c := cursor{part: p, blk: p.from, stamps: p.clock.Stamps()}
	c.enter()
	return c
}

// enter begins the block blk.
func (c *cursor) enter() {
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

// next returns the next packet, or nil at the end.
func (c *cursor) next() packet {
	for {
		for c.left == 0 {
			if c.blk >= c.to {
				return nil
			}
			c.blk++
			c.enter()
		}
		p := c.b.packet(c.off)
		c.off += p.next()
		c.left--
		c.at = c.stamps.Place(p.time())
		if c.at < c.since || c.lo && p.kind() == unix.PACKET_OUTGOING {
			continue
		}
		return p
	}
}

const (
	// reorderPackets is how far a packet may lie behind its place. Two CPUs that feed one
	// ring swap neighbours; where another program has receive timestamps on, packets
	// that waited in a backlog carry the time before it.
	reorderPackets = 2048
	// reorderTime is the largest step back that is put in order. A larger one is the clock
	// having been set without that a reading of it shows it, and stays visible.
	reorderTime = int64(1e9)
)

// entry is a packet that waits in a queue.
type entry struct {
	time int64
	blk  uint64
	p    packet
}

// queue puts the packets of one part in the order of their times, looking ahead by
// reorderPackets. It is sorted by insertion, because packets hardly ever are out of order.
//
// Between two pops this holds: waiting is sorted, and nothing that is still to be read
// comes before its first, unless it lies further back than reorderPackets or the clock was
// set back. So the earliest of all firsts is the earliest of all, which is what makes a heap
// of queues an order.
type queue struct {
	cursor
	index   int     // of the part
	waiting []entry // sorted by time; a window of buffer
	buffer  []entry
	held    entry // read, but of another clock than those that wait; its p is nil where there is none
	ended   bool
	// pending counts the waiting packets of each block from part.from on; low is the
	// first block that is not done with.
	pending []int
	low     uint64
}

// newQueue looks ahead for the first time.
func newQueue(p *part, index int) *queue {
	q := &queue{cursor: p.cursor(), index: index, low: p.from}
	q.pending = make([]int, p.to-p.from+1)
	q.buffer = make([]entry, 2*reorderPackets)
	q.waiting = q.buffer[:0]
	q.fill()
	return q
}

// fill looks ahead.
func (q *queue) fill() {
	for len(q.waiting) < reorderPackets && !q.ended {
		if q.held.p != nil {
			// The clock was set back: what comes is of another time, and must not be sorted in
			// among what was before. It waits until that has gone, and begins anew.
			if len(q.waiting) > 0 {
				return
			}
			q.waiting = append(q.waiting, q.held)
			q.held = entry{}
			continue
		}
		p := q.next()
		if p == nil {
			q.ended = true
			return
		}
		e := entry{q.at, q.blk, p}
		q.pending[e.blk-q.from]++
		q.insert(e)
	}
}

// insert puts e in its place among those that wait, or holds it back.
func (q *queue) insert(e entry) {
	n := len(q.waiting)
	if n > 0 && e.time < q.waiting[n-1].time-reorderTime {
		q.held = e
		return
	}
	if n == cap(q.waiting) { // pop has cut off the front: move to the buffer's begin
		q.waiting = q.buffer[:copy(q.buffer, q.waiting)]
	}
	q.waiting = append(q.waiting, e)
	for i := n; i > 0 && q.waiting[i-1].time > e.time; i-- {
		q.waiting[i], q.waiting[i-1] = q.waiting[i-1], e
	}
}

// pop takes the earliest packet; there must be one.
func (q *queue) pop() entry {
	e := q.waiting[0]
	q.waiting = q.waiting[1:]
	q.pending[e.blk-q.from]--
	q.fill()
	// A block is done with when all of its packets were popped, and not when it was read:
	// those that wait are bytes in it. The cursor's own block may have more to come.
	for q.low < q.blk && q.pending[q.low-q.from] == 0 {
		q.low++
	}
	return e
}

// merger gives the packets of all parts in the order of their times: a heap of queues,
// the one with the earliest packet first.
type merger []*queue

// newMerger orders the parts that have packets.
func newMerger(parts []*part) merger {
	var m merger
	for i, p := range parts {
		if q := newQueue(p, i); len(q.waiting) > 0 {
			m = append(m, q)
		}
	}
	for i := len(m)/2 - 1; i >= 0; i-- {
		m.down(i)
	}
	return m
}

// next returns the earliest packet and its part's index, or nil at the end.
func (m *merger) next() (entry, int) {
	if len(*m) == 0 {
		return entry{}, 0
	}
	q := (*m)[0]
	e := q.pop()
	if len(q.waiting) == 0 {
		n := len(*m) - 1
		(*m)[0] = (*m)[n]
		*m = (*m)[:n]
	}
	m.down(0)
	return e, q.index
}

// down restores the heap's order below i.
func (m merger) down(i int) {
	for {
		least := i
		for _, child := range []int{2*i + 1, 2*i + 2} {
			if child < len(m) && m[child].before(m[least]) {
				least = child
			}
		}
		if least == i {
			return
		}
		m[i], m[least] = m[least], m[i]
		i = least
	}
}

// before compares the earliest packets; equal times are told apart by the parts' order,
// so that a cut is written the same way each time.
func (q *queue) before(r *queue) bool {
	a, b := q.waiting[0].time, r.waiting[0].time
	return a < b || a == b && q.index < r.index
}
