package ticks

import (
	"net/netip"

	"github.com/spikebox/spikebox/analyzer/flow"
)

// Event takes an event of a flow; of most kinds nothing is counted.
func (t *Ticks) Event(e *flow.Event) {
	switch e.Kind {
	case flow.EventRTT:
		t.trip(e)
	case flow.EventSYN:
		t.syn(e)
	case flow.EventEstablished:
		t.established(e)
	case flow.EventThink:
		if e.Flow.ServerKnown() {
			if k := t.at(e.Time); k != nil {
				k.times[t.way(e.Flow)][think].Add(e.Value, &t.pool)
			}
		}
	case flow.EventRetransmit:
		t.again(e)
	case flow.EventSpurious:
		t.sent(e, needless, uint64(e.Value))
	case flow.EventZeroWindow:
		t.sent(e, zeroWindow, 1)
	case flow.EventReset:
		t.sent(e, reset, 1)
	}
}

// trip counts a round trip that is the network's: of what this host's peers sent, it would be this host's own
// delay in acknowledging.
func (t *Ticks) trip(e *flow.Event) {
	if t.way(e.Flow).of(e.Side) == peer {
		return
	}
	if k := t.at(e.Time); k != nil {
		k.rtt.Add(e.Value, &t.pool)
		k.over.Add(e.Value-e.Flow.Dirs[e.Side].LeastRTT(), &t.pool)
	}
}

// syn counts a SYN or SYN-ACK. One that is sent again is a segment sent again, too, by its timer.
func (t *Ticks) syn(e *flow.Event) {
	k := t.at(e.Time)
	if k == nil {
		return
	}
	counts := &k.ways[t.way(e.Flow)]
	switch first := e.Value == 1; {
	case first && e.Side == flow.Client:
		counts[syn]++
	case first:
		counts[synAnswered]++
	case e.Side == flow.Client:
		counts[synAgain]++
	default:
		counts[synackAgain]++
	}
	if e.Value > 1 {
		t.again(&flow.Event{Flow: e.Flow, Time: e.Time, Side: e.Side, Mechanism: flow.Timeout, Value: 1})
	}
}

// established counts a connection and how long its client waited for it, every repetition of its SYN included:
// to the ACK at a server's tap, to the SYN-ACK, which the ACK answers at once, at a client's.
func (t *Ticks) established(e *flow.Event) {
	k := t.at(e.Time)
	if k == nil {
		return
	}
	w := t.way(e.Flow)
	k.ways[w][connected]++
	if took := e.Flow.Handshake.ConnectTime(); took >= 0 {
		k.times[w][connect].Add(took, &t.pool)
	}
}

// again counts segments that were sent again, by mechanism, and for the peer that they were sent to or by.
func (t *Ticks) again(e *flow.Event) {
	what := [...]int{flow.NoMechanism: againUnknown, flow.Timeout: againTimeout, flow.Fast: againFast, flow.Probe: againProbe}[e.Mechanism]
	t.sent(e, what, uint64(e.Value))
	if i, ok := t.index(e.Time); ok {
		t.eachPeer(e.Flow, func(a netip.Addr) { t.peers.add(a, i, share{again: uint64(e.Value)}) })
	}
}

// sent counts something by its sender.
func (t *Ticks) sent(e *flow.Event, what int, n uint64) {
	if k := t.at(e.Time); k != nil {
		k.senders[t.way(e.Flow).of(e.Side)][what] += n
	}
}

// Beat takes what a flow has sent since it was asked last; see flow.Options. It gives the end of the tick in
// which the next packet comes.
func (t *Ticks) Beat(f *flow.Flow, now int64) (until int64) {
	t.Flow(f)
	i, ok := t.index(now)
	if !ok {
		const later = 1e9 // outside of what is counted: ask again
		return now + later
	}
	return t.clock.ends[i]
}

// Flow takes what a flow has sent since the last beat, when it has ended. All of it was sent within one tick,
// that of its last packet.
func (t *Ticks) Flow(f *flow.Flow) {
	sent := [2]uint64{f.C2S().Fresh(), f.S2C().Fresh()}
	n := sent[0] + sent[1]
	if n == 0 {
		return
	}
	i, ok := t.index(f.Last)
	if !ok {
		return
	}
	w := t.way(f)
	for side, bytes := range sent {
		t.ticks[i].senders[w.of(flow.Side(side))][payload] += bytes
	}
	t.eachPeer(f, func(a netip.Addr) { t.peers.add(a, i, share{bytes: n}) })
	switch w {
	case inbound:
		t.offered.add(f.Server, i, share{bytes: n})
	case outbound:
		t.used.add(f.Server, i, share{bytes: n})
	}
}

// eachPeer calls f for each end of a flow that is not this host.
func (t *Ticks) eachPeer(f *flow.Flow, do func(netip.Addr)) {
	w := t.way(f)
	if w != outbound {
		do(f.Client.Addr())
	}
	if w != inbound {
		do(f.Server.Addr())
	}
}
