// Package through tells how connections fare that a host only forwards, from the headers that it keeps of
// packets anyway: a router, a translator of addresses or a host of containers has no socket of them, and none of
// its counters moves when they lose, stall or wait.
//
// A connection is looked at on each interface for itself, under the addresses that it has there: that it is
// forwarded is known from what leaves and had come in by another interface, and that a service of UDP is this host's
// own from an answer that leaves and had not. Tables have a fixed size and one place for each hash; what does not fit
// is not seen, nor what goes one way here and the other elsewhere.
package through

import (
	"math/rand/v2"
	"time"
)

const (
	connPlaces    = 4096
	flowPlaces    = 4096
	servicePlaces = 1024

	// placeStays is for how long a place stays with a connection that is forwarded and silent: timers of TCP
	// reach 3 s within five retransmissions (RFC 6298), and who waits for longer is told of already.
	placeStays = uint64(10 * time.Second)
	// told is for how long something counts that was sent again or asked.
	told = uint64(5 * time.Second)
	// lossyFor is for how long a connection counts as lossy: at 1 % of 100 packets/s it is so all the time.
	lossyFor = uint64(2 * time.Second)
)

// Packet is what is known of one packet at one interface.
type Packet struct {
	At        uint64 // ns, CLOCK_MONOTONIC
	Link      uint32 // the interface's index
	Out       bool   // it leaves
	Forwarded bool   // it had come in by another interface; of what leaves only
	IP        []byte // what was kept of it, from IP's header on
	Wire      int    // bytes that it had from there on
}

// Told is how they fare.
type Told struct {
	Sent       [2]Sent // by services, and by clients
	Lossy      int     // connections of which something came again within the last 2 s
	Stalled    int     // connections that wait: see Table.stalled
	Hung       int     // connections whose service does not answer: see Table.hung
	Unanswered int     // flows of UDP that wait: see Table.unanswered
	Mute       int     // and those that wait for services of this host itself
	Whole      bool    // all packets of the last seconds were looked at; else the four before say nothing
}

// Sent is TCP data that came in to be forwarded, ever: bytes, since several segments may come as one (GRO). What is
// lost one way is a small part of both, where questions are short and answers long.
type Sent struct{ Bytes, Again uint64 }

// Table is all that is remembered. It has a fixed size, some 1 MiB, and is not safe for concurrent use.
type Table struct {
	seed     uint64
	conns    [connPlaces]conn
	flows    [flowPlaces]flow
	services [servicePlaces]service
	answers  [servicePlaces]answerer
	sum      Told
	lapsed   uint64 // when packets were last left out

	// Of one Tell, kept for their memory.
	silent  map[uint64]*silence
	hangs   map[uint64]hang
	clients map[uint64]bool
}

// New gives a table that has seen nothing.
func New() *Table {
	return &Table{seed: rand.Uint64(), silent: map[uint64]*silence{}, hangs: map[uint64]hang{}, clients: map[uint64]bool{}}
}

// Lapse says that packets before a time were left out.
func (t *Table) Lapse(at uint64) { t.lapsed = max(t.lapsed, at) }

// Add takes one packet. Packets of several CPUs may come in any order that is right for each.
func (t *Table) Add(p *Packet) {
	var s segment
	if !s.parse(p, t.seed) {
		return
	}
	if s.tcp {
		t.addTCP(p, &s)
	} else {
		t.addUDP(p, &s)
	}
}

// Tell sums up at a time.
func (t *Table) Tell(now uint64) Told {
	sum := t.sum
	sum.Lossy = t.lossy(now)
	sum.Stalled = t.stalled(now)
	sum.Hung = t.hung(now)
	sum.Unanswered = t.unanswered(now, false)
	sum.Mute = t.unanswered(now, true)
	sum.Whole = now-min(now, t.lapsed) > told
	return sum
}

// since is how long ago a time was, 0 for one to come: clocks of CPUs differ by some ns.
func since(now, at uint64) uint64 { return now - min(now, at) }
