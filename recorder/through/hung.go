package through

import "time"

const (
	// hungAfter is a wait that a user calls an outage.
	hungAfter = uint64(time.Second)
	// hungKnown is for how long a service must have answered: what its clients leave without an answer in ordinary life is
	// known then.
	hungKnown = uint64(30 * time.Second)
	// hungForgets is by how little of the time that passes the longest wait of a service is remembered shorter: one for a report
	// of half a minute counts for a quarter of an hour.
	hungForgets = 30
)

// answerer is a service of TCP, and how it answers with data.
type answerer struct {
	key         uint64
	first, last uint64 // that it answered
	gap         uint64 // longest that somebody waited who was answered, less what is forgotten of it
}

// asks takes the client's data that was not sent before. Who goes on to send after a second waits for no answer: he
// sends a large file, or reports events.
func (c *conn) asks(at uint64) {
	if c.question == 0 {
		c.question = at
	} else if since(at, c.question) >= hungAfter {
		c.goesOn = true
	}
}

// replies takes a service's data.
func (t *Table) replies(c *conn, at uint64) {
	a := &t.answers[c.service%servicePlaces]
	if a.key != c.service {
		if a.key != 0 && since(at, a.last) < serviceKept {
			return
		}
		*a = answerer{key: c.service, first: at, last: at}
	}
	a.gap -= min(a.gap, since(at, a.last)/hungForgets)
	if c.question != 0 && !c.goesOn {
		a.gap = max(a.gap, since(at, c.question))
	}
	a.last = max(a.last, at)
	if at >= c.question {
		c.question, c.goesOn = 0, false
	}
}

// hang is a service that some wait for, by side: seen coming in, and going out.
type hang struct{ waiting, left [2]int }

// hung counts the connections whose last data is a client's question to a service that has answered nobody since: it is
// acknowledged, by a kernel that is well. They are more than twice as many as were left so while others were answered: those
// want no answer, as a window's update of HTTP/2.
func (t *Table) hung(now uint64) int {
	clear(t.hangs)
	for i := range t.conns {
		c := &t.conns[i]
		if !c.forwarded || c.closing || c.question == 0 || c.goesOn {
			continue
		}
		a := &t.answers[c.service%servicePlaces]
		if a.key != c.service || since(now, a.first) < hungKnown {
			continue
		}
		side := 0
		if c.ways[1].out {
			side = 1
		}
		h := t.hangs[c.service]
		switch {
		case c.question < a.last:
			h.left[side]++
		case c.question > t.lapsed && since(now, c.question) >= max(hungAfter, 2*a.gap):
			h.waiting[side]++
		}
		t.hangs[c.service] = h
	}
	var sides [2]int
	for _, h := range t.hangs {
		for side, n := range h.waiting {
			if n >= many && n > 2*h.left[side] {
				sides[side] += n
			}
		}
	}
	return max(sides[0], sides[1])
}
