// Package ticks tells over time what connections tell: how many were asked for, answered and set up, and
// how long that took; round trips beyond each connection's shortest; how long answers took; what was sent
// again and why; who closed windows and reset; and how many bytes went to whom.
//
// Time is divided into the ticks of the recorder's vitals, so that the numbers of both stand beside each other.
// Everything is counted in the one pass over the packets, in memory that is bounded; at its end it becomes columns
// like those of the kernel's texts.
package ticks

import (
	"net/netip"

	"github.com/spikebox/spikebox/analyzer/flow"
	"github.com/spikebox/spikebox/analyzer/sketch"
)

// way is how a connection lies to this host.
type way uint8

// The ways. Without knowing this host's addresses, as in a bare capture, it is anyWay.
const (
	noWay way = iota // not asked for yet: what a new flow bears
	anyWay
	inbound   // the server is this host
	outbound  // the client is
	forwarded // neither is
	ways
)

// sender is who sent a packet, as far as that is known.
type sender uint8

// The senders. A bare capture has clients and servers.
const (
	client sender = iota
	server
	host    // this host
	peer    // whoever speaks with this host
	between // one of two others whose packets this host forwards
	senders
)

// of gives the sender of what a side sent.
func (w way) of(side flow.Side) sender {
	switch {
	case w == forwarded:
		return between
	case w == inbound && side == flow.Server, w == outbound && side == flow.Client:
		return host
	case w == inbound, w == outbound:
		return peer
	case side == flow.Client:
		return client
	}
	return server
}

// What is counted of connections by their way.
const (
	syn         = iota // first SYNs
	synAnswered        // first SYN-ACKs
	synAgain           // SYNs that were sent again
	synackAgain        // SYN-ACKs likewise
	connected          // handshakes that were completed
	ofWay
)

// What is counted of packets by their sender.
const (
	againTimeout = iota // segments sent again, by mechanism
	againFast
	againProbe
	againUnknown
	needless // segments that were sent again, as it turned out at this time, without need
	zeroWindow
	reset
	payload // bytes
	ofSender
)

// The durations of connections by their way.
const (
	connect = iota // first SYN to the client's ACK
	think          // request to answer
	timesOfWay
)

// tick is what was counted in one.
type tick struct {
	ways      [ways][ofWay]uint32
	senders   [senders][ofSender]uint64
	times     [ways][timesOfWay]sketch.Sketch
	rtt, over sketch.Sketch // round trips, and by how much they were beyond the connection's shortest
}

// Ticks counts by ticks. It is not safe for use by several goroutines.
type Ticks struct {
	own   map[netip.Addr]bool // this host's addresses: more may become known
	all   bool                // own has all of them: connections of others are forwarded
	clock clock
	ticks []tick // by index of the clock's
	pool  sketch.Pool
	peers shares[netip.Addr]
	// The services that this host offers, and those that it uses: their processes are found by their sockets.
	offered, used shares[netip.AddrPort]
}

// New counts by a recorder's ticks, whose times are Unix ns, in its window; without a window, by ticks that
// begin with the first packet, see Begin. own are this host's addresses: all of them, or those that have become known.
func New(times []int64, start, end int64, own map[netip.Addr]bool, all bool) *Ticks {
	t := &Ticks{own: own, all: all}
	if end > start {
		t.clock = recorderClock(times, start, end)
	}
	return t
}

// Begin tells the Unix ns of the first packet: a capture's ticks begin with it.
func (t *Ticks) Begin(first int64) {
	if len(t.clock.ends) == 0 {
		t.clock = captureClock(first)
	}
}

// at gives the tick of a time, nil where that is outside of what is counted.
func (t *Ticks) at(time int64) *tick {
	i, ok := t.index(time)
	if !ok {
		return nil
	}
	return &t.ticks[i]
}

// index gives the index of a time's tick.
func (t *Ticks) index(time int64) (int, bool) {
	i, ok := t.clock.find(time)
	if !ok {
		t.Begin(time)
		t.clock.grow(time, t.double)
		i, ok = t.clock.find(time)
	}
	for ok && i >= len(t.ticks) {
		t.ticks = append(t.ticks, tick{})
	}
	return i, ok
}

// double puts two ticks each together.
func (t *Ticks) double() {
	for i := range t.ticks {
		if i > 0 {
			t.ticks[i/2].take(&t.ticks[i], i%2 == 0, &t.pool)
		}
	}
	half := (len(t.ticks) + 1) / 2
	clear(t.ticks[half:])
	t.ticks = t.ticks[:half]
	moveTo := func(i uint32) uint32 { return i / 2 }
	t.peers.move(moveTo)
	t.offered.move(moveTo)
	t.used.move(moveTo)
}

// take adds another tick's counts, or takes its place.
func (k *tick) take(other *tick, place bool, pool *sketch.Pool) {
	if place {
		*k, *other = *other, tick{}
		return
	}
	for w := range k.ways {
		for i, n := range other.ways[w] {
			k.ways[w][i] += n
		}
		for i := range other.times[w] {
			k.times[w][i].Take(&other.times[w][i], pool)
		}
	}
	for s := range k.senders {
		for i, n := range other.senders[s] {
			k.senders[s][i] += n
		}
	}
	k.rtt.Take(&other.rtt, pool)
	k.over.Take(&other.over, pool)
}

// way tells how a connection lies, once for each.
func (t *Ticks) way(f *flow.Flow) way {
	if f.Mark == uint8(noWay) {
		f.Mark = uint8(t.lies(f))
	}
	return way(f.Mark)
}

// lies compares the ends of a connection with this host's addresses.
func (t *Ticks) lies(f *flow.Flow) way {
	switch {
	case t.own[f.Server.Addr()]:
		return inbound
	case t.own[f.Client.Addr()]:
		return outbound
	case t.all:
		return forwarded
	}
	return anyWay
}
