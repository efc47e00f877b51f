//go:build linux

package vital

import (
	"net/netip"
	"time"
)

// stalls tells how long listeners have accepted nothing while connections wait for them.
// Only accept(2) takes a connection out of an accept queue, not even its RST does
// (net/ipv4/inet_connection_sock.c, reqsk_queue_remove): a queue that is not empty and did
// not become shorter is one from which nobody took, or less than came.
type stalls struct {
	queues map[queue]*waiting
	ages   map[netip.AddrPort]*age
	last   time.Time // tick
	before queue     // the listener that came before this one
}

func newStalls() *stalls {
	return &stalls{queues: map[queue]*waiting{}, ages: map[netip.AddrPort]*age{}}
}

// queue is one accept queue. Those of several sockets on one address (SO_REUSEPORT) lie side
// by side in the kernel's table, and keep their order.
type queue struct {
	addr netip.AddrPort
	nth  int
}

// waiting is a queue that is not empty.
type waiting struct {
	length uint32
	// since is when something was taken from it last, or the first came. It is zero for what
	// was there before the recorder: a port that nobody ever accepts from is no news.
	since time.Time
	seen  time.Time // tick
}

// age is for how long an address is listened on.
type age struct {
	since time.Time // zero: since before the recorder
	seen  time.Time // tick
	takes bool      // something was taken from its queue
}

// starting is how long a service may listen before it is ready, while a balancer asks whether it is. One that takes
// longer, or that has accepted before, hangs.
const starting = time.Minute

// age notes that an address is listened on.
func (s *stalls) age(now time.Time, addr netip.AddrPort) *age {
	a := s.ages[addr]
	if a == nil {
		a = &age{}
		if !s.last.IsZero() {
			a.since = now
		}
		s.ages[addr] = a
	}
	a.seen = now
	return a
}

// blind is how long there may be no tick: what came and went meanwhile was not seen.
const blind = time.Second

// add takes a listener of the tick, and gives how long it has stalled.
func (s *stalls) add(now time.Time, addr netip.AddrPort, length uint32) time.Duration {
	q := queue{addr: addr}
	if s.before.addr == addr {
		q.nth = s.before.nth + 1
	}
	s.before = q
	a, w := s.age(now, addr), s.queues[q]
	a.takes = a.takes || w != nil && length < w.length
	if length == 0 {
		return 0
	}
	switch {
	case w == nil:
		w = &waiting{since: now}
		if s.last.IsZero() {
			w.since = time.Time{}
		}
		s.queues[q] = w
	case length < w.length, now.Sub(s.last) > blind && !w.since.IsZero():
		w.since = now
	}
	w.length, w.seen = length, now
	if w.since.IsZero() || !a.takes && now.Sub(a.since) < starting {
		return 0
	}
	return now.Sub(w.since)
}

// end forgets the queues that are empty, and who listens no more.
func (s *stalls) end(now time.Time) {
	for addr, a := range s.ages {
		if !a.seen.Equal(now) {
			delete(s.ages, addr)
		}
	}
	for q, w := range s.queues {
		if !w.seen.Equal(now) {
			delete(s.queues, q)
		}
	}
	s.last, s.before = now, queue{}
}
