//go:build linux

package capture

const (
	// reorderPackets is how far a packet may lie behind its place. Two CPUs that feed one
	// ring swap neighbours; where another program has receive timestamps on, packets
	// that waited in a backlog carry the time before it.
	reorderPackets = 2048
	// reorderTime is the largest step back that is put in order. A larger one is the clock
	// having been set without that a reading of it shows it, and stays visible.
	reorderTime = int64(1e9)
)

// queue puts the packets of one part in the order of their times, looking as far ahead as
// they may be out of it. It is sorted by insertion, because packets hardly ever are out of order.
//
// Between two pops this holds: waiting is sorted, and nothing that is still to be read
// comes before its first, unless it lies further back than ahead says or the clock was
// set back. So the earliest of all firsts is the earliest of all, which is what makes a heap
// of queues an order.
type queue struct {
	cursor
	part    owned
	order   int      // among the parts
	waiting []record // sorted by time; a window of buffer
	buffer  []record
	held    record // read, but of another clock than those that wait; its data is nil where there is none
	ended   bool
	// pending counts the waiting packets of each of the part's blocks; low is the first block
	// that is not done with, and last that of the newest packet that was read.
	pending   []int
	low, last int
}

// newQueue looks ahead for the first time.
func newQueue(p owned, order int) *queue {
	q := &queue{cursor: p.cursor(), part: p, order: order}
	q.pending = make([]int, p.blocks())
	q.buffer = make([]record, 2*p.ahead())
	q.waiting = q.buffer[:0]
	q.fill()
	return q
}

// fill looks ahead.
func (q *queue) fill() {
	for len(q.waiting) < q.part.ahead() && !q.ended {
		if q.held.data != nil {
			// The clock was set back: what comes is of another time, and must not be sorted in
			// among what was before. It waits until that has gone, and begins anew.
			if len(q.waiting) > 0 {
				return
			}
			q.waiting = append(q.waiting, q.held)
			q.held = record{}
			continue
		}
		r, ok := q.next()
		if !ok {
			q.ended = true
			return
		}
		q.last = r.block
		q.pending[r.block]++
		q.insert(r)
	}
}

// insert puts r in its place among those that wait, or holds it back.
func (q *queue) insert(r record) {
	n := len(q.waiting)
	if n > 0 && r.at < q.waiting[n-1].at-reorderTime {
		q.held = r
		return
	}
	if n == cap(q.waiting) { // pop has cut off the front: move to the buffer's begin
		q.waiting = q.buffer[:copy(q.buffer, q.waiting)]
	}
	q.waiting = append(q.waiting, r)
	for i := n; i > 0 && q.waiting[i-1].at > r.at; i-- {
		q.waiting[i], q.waiting[i-1] = q.waiting[i-1], r
	}
}

// pop takes the earliest packet; there must be one.
func (q *queue) pop() record {
	r := q.waiting[0]
	q.waiting = q.waiting[1:]
	q.pending[r.block]--
	q.fill()
	// A block is done with when all of its packets were popped, and not when it was read:
	// those that wait are bytes in it. The newest may have more to come, until all is read.
	for (q.low < q.last || q.ended && q.low == q.last) && q.pending[q.low] == 0 {
		q.low++
	}
	return r
}

// merger gives the packets of all parts in the order of their times: a heap of queues,
// the one with the earliest packet first.
type merger []*queue

// newMerger orders the parts that have packets.
func newMerger(parts []owned) merger {
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

// next returns the earliest packet and its part's place, until there is none.
func (m *merger) next() (r record, part int, ok bool) {
	if len(*m) == 0 {
		return record{}, 0, false
	}
	q := (*m)[0]
	r = q.pop()
	if len(q.waiting) == 0 {
		n := len(*m) - 1
		(*m)[0] = (*m)[n]
		*m = (*m)[:n]
	}
	m.down(0)
	return r, q.order, true
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
	a, b := q.waiting[0].at, r.waiting[0].at
	return a < b || a == b && q.order < r.order
}
