//go:build linux

package capture

import (
	"errors"
	"io"
	"time"
)

// Pieces are where the pieces of a cut's pcapng file go. Head, Before, Near, After and
// Foot, one behind the other, are the file. Head, Near and NearFoot are a smaller one,
// of the packets in [From, To], for a disk that has no room for all. The writers must be
// of comparable types, such as pointers.
type Pieces struct {
	From, To                                  time.Time
	Head, Before, Near, After, Foot, NearFoot io.Writer
}

// WritePcapng writes the cut as one pcapng section, its packets in the order of their
// times, in a single pass. Blocks are given back to the kernel as they have been
// written, so that it can be called once.
func (c *Cut) WritePcapng(w io.Writer, o PcapngOptions) error {
	w = &struct{ io.Writer }{w} // comparable, whatever it was
	_, err := c.WritePieces(Pieces{Head: w, Before: w, Near: w, After: w, Foot: w, NearFoot: io.Discard}, o)
	return err
}

// WritePieces is WritePcapng in pieces, and gives the number of packets in Near. After
// an error of any writer the others are of no use.
func (c *Cut) WritePieces(ps Pieces, o PcapngOptions) (near uint64, err error) {
	if c.written {
		return 0, errors.New("write packets: the cut was written before, and its blocks were given back")
	}
	c.written = true
	g := newPcapng(ps.Head)
	c.head(g, o)
	if err := g.turn(ps.Before); err != nil {
		return 0, err
	}
	held := make([]uint64, len(c.rings)) // of Near
	if err := c.packets(g, ps, o, held); err != nil {
		return 0, err
	}
	if err := g.turn(ps.Foot); err != nil {
		return 0, err
	}
	c.foot(g, c.stats)
	if err := g.turn(ps.NearFoot); err != nil {
		return 0, err
	}
	c.foot(g, c.nearStats(ps, held))
	if err := g.turn(io.Discard); err != nil {
		return 0, err
	}
	c.set.mu.Lock()
	c.unhold()
	c.set.mu.Unlock()
	for _, n := range held {
		near += n
	}
	return near, nil
}

// packets writes the packet blocks, each to the piece that its time says.
func (c *Cut) packets(g *pcapng, ps Pieces, o PcapngOptions, held []uint64) error {
	mark := newMark(o)
	m := newMerger(c.parts)
	queues := append(merger(nil), m...)
	// A piece that was begun is never left for the one before it: a clock that was set back
	// must not put packets out of the order in which they came.
	begins := []int64{wall(ps.From, c.clock), wall(ps.To, c.clock) + 1}
	pieces := []io.Writer{ps.Near, ps.After}
	for r, part, ok := m.next(); ok; r, part, ok = m.next() {
		i := c.parts[part].ring
		for len(begins) > 0 && r.at >= begins[0] {
			if err := g.turn(pieces[0]); err != nil {
				return err
			}
			begins, pieces = begins[1:], pieces[1:]
		}
		if len(begins) == 1 {
			held[i]++
		}
		g.packet(i, c.rings[i].linkKind(), &r, mark.on(r.at, m))
		// Blocks are released as often as the buffer is written, not for each packet: that takes
		// the lock which the goroutine that serves the rings waits for.
		if g.full() {
			if err := g.flush(); err != nil {
				return err
			}
			c.release(queues)
		}
	}
	return nil
}

// mark is the comment that one packet carries: that whose time is nearest to the trigger.
type mark struct {
	comment string // empty once it was given
	at      int64  // of the trigger, Unix ns
}

func newMark(o PcapngOptions) *mark { return &mark{o.Comment, o.Trigger.UnixNano()} }

// on gives the comment of a packet before those that m has still to give: packets come in the order of their
// times, so that the nearest is the first behind the trigger, or the last before it.
func (k *mark) on(at int64, m merger) (comment string) {
	if len(m) > 0 {
		if next := m[0].waiting[0].at; at < k.at && (next < k.at || next-k.at < k.at-at) {
			return ""
		}
	}
	comment, k.comment = k.comment, ""
	return comment
}

// nearStats are the interfaces' statistics in a file of Near alone. What was lost is
// that of the whole window: too much rather than too little is said to be missing.
func (c *Cut) nearStats(ps Pieces, held []uint64) []Stats {
	stats := append([]Stats(nil), c.stats...)
	for i, n := range held {
		st := &stats[i]
		st.Held = n
		if ps.From.After(st.From) {
			st.From = ps.From
		}
		if ps.To.Before(st.To) {
			st.To = ps.To
		}
		if st.From.After(st.To) { // recorded only afterwards
			st.From = st.To
		}
	}
	return stats
}

// turn ends a piece and goes on with the next.
func (g *pcapng) turn(to io.Writer) error {
	if g.w == to { // pieces of one file: it is written as if they were none
		return nil
	}
	err := g.flush()
	g.w = to
	return err
}
