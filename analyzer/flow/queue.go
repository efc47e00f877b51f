package flow

import "sort"

// segment is a run of sequence space that one side sent and the other has not acknowledged yet.
type segment struct {
	sent     int64  // Unix ns of its last transmission; of its discovery, for a hole
	seq, end uint32 // end is excluded
	ts       uint32 // TSval of its last transmission; for a hole, of the segment above it
	ipid     uint16 // likewise
	tx       uint8  // transmissions captured, at most 255; 0 for a hole, which was never captured
	marks    marks
}

// marks are facts about a segment.
type marks uint8

const (
	markSACKed    marks = 1 << iota // the receiver has it
	markTimed                       // it has given its round-trip sample, or must not give one
	markSpurious                    // its retransmission has been counted as spurious
	markAmbiguous                   // its last transmission was counted as ambiguous, and a DSACK would decide
	markAcked                       // a hole that was acknowledged: its bytes count as AckedUnseen
	markStamped                     // ts is valid
	markResent                      // a transmission of it was counted as a retransmission
	markAlarmed                     // a hole that was found while the sender repaired a loss
)

const (
	// A queue that grows beyond this forgets its oldest: one side of the connection was not
	// captured, or the window is larger than any real one.
	maxQueue = 2048
	// Acknowledged segments that are kept because a late copy of them may still arrive.
	maxPast = 8
)

// queue holds the outstanding segments of one side in the order of sequence numbers, without gaps:
// what was not captured is a hole.
type queue struct {
	list      []segment
	head      int
	pieceSize uint32 // payload of a full segment of this side
}

// live returns the outstanding segments.
func (q *queue) live() []segment { return q.list[q.head:] }

// empty reports whether nothing is outstanding.
func (q *queue) empty() bool { return q.head == len(q.list) }

// push appends a segment and returns it, to be filled in place: it is what most packets do.
func (q *queue) push(pool *slabs) *segment {
	if q.list == nil {
		q.list = pool.get()
	}
	// Moving at most as many as were popped since the last time keeps this constant per segment.
	if len(q.list) == cap(q.list) && q.head >= len(q.list)/2 {
		n := copy(q.list, q.live())
		q.list, q.head = q.list[:n], 0
	}
	q.list = append(q.list, segment{})
	return &q.list[len(q.list)-1]
}

// pop drops the first n segments, and gives the memory back when none is left.
func (q *queue) pop(n int, pool *slabs) {
	q.head += n
	if q.empty() {
		pool.put(q.list)
		q.list, q.head = nil, 0
	}
}

// find returns the index in live of the segment that holds seq, or where it would be.
func (q *queue) find(seq uint32) int {
	live := q.live()
	return sort.Search(len(live), func(i int) bool { return after(live[i].end, seq) })
}

// split makes seq the border of two segments, if it lies inside one.
func (q *queue) split(seq uint32) {
	i := q.find(seq)
	live := q.live()
	if i == len(live) || !before(live[i].seq, seq) {
		return
	}
	// Both halves keep time, timestamp and marks: they were sent in one frame.
	upper := live[i]
	q.cut(&upper, seq)
	live[i].end = seq
	q.list = append(q.list, segment{})
	live = q.live()
	copy(live[i+2:], live[i+1:])
	live[i+1] = upper
}

// cut takes what lies below seq off a segment. A frame that is cut into segments numbers them one by
// one (tcp_gso_segment), and the first number is the frame's.
func (q *queue) cut(g *segment, seq uint32) {
	if g.tx > 0 && g.ipid != 0 && q.pieceSize > 0 {
		g.ipid += uint16((seq - g.seq) / q.pieceSize)
	}
	g.seq = seq
}

// cover returns the segments that make up seq to end, after cutting those at the borders. What lies
// below or above the queue is left out.
func (q *queue) cover(seq, end uint32) []segment {
	q.split(seq)
	q.split(end)
	live := q.live()
	i := q.find(seq)
	j := i
	for j < len(live) && before(live[j].seq, end) {
		j++
	}
	return live[i:j]
}

// slabs keeps the memory of queues that became empty.
type slabs struct {
	free [][]segment
	held int // segments that the free ones have room for
}

// get returns memory for a few segments.
func (s *slabs) get() []segment {
	if n := len(s.free); n > 0 {
		list := s.free[n-1]
		s.free = s.free[:n-1]
		s.held -= cap(list)
		return list
	}
	return make([]segment, 0, 8)
}

// put keeps memory; large pieces are left to the garbage collector, or one flow's long window would
// be kept for ever.
func (s *slabs) put(list []segment) {
	const mostHeld = 1 << 20 // 24 MB
	if cap(list) > 0 && cap(list) <= 512 && s.held < mostHeld {
		s.held += cap(list)
		s.free = append(s.free, list[:0])
	}
}
