// Package rtt says what the packets tell about round trips: how long they took between the
// tap and each address, second by second.
package rtt

import (
	"net/netip"
	"slices"

	"github.com/spikebox/spikebox/analyzer/flow"
)

// Peer is the round trips between the tap and one address, second by second.
type Peer struct {
	Addr netip.Addr
	Bins []Bin // ascending; a second without a sample has none
}

// Bin is the round trips of one second, in ns.
type Bin struct {
	Second   int64 // Unix s
	N        uint32
	Sum, Max int64
}

// Mean gives the mean round trip in seconds.
func (b *Bin) Mean() float64 { return float64(b.Sum) / float64(b.N) / 1e9 }

// maxPeers bounds the addresses whose round trips are kept apart; those of further
// ones are not kept. 4096 peers in a window of a minute take about 10 MB.
const maxPeers = 4096

// Peers collects the round-trip samples of a flow table. The zero value is empty.
type Peers struct{ byAddr map[netip.Addr]*Peer }

// Add takes a round-trip sample; other events are none.
func (r *Peers) Add(e *flow.Event) {
	if e.Kind != flow.EventRTT {
		return
	}
	// The side is the one whose data was timed: the sample is the way from the tap to the
	// other side and back, and says nothing about the way to the one that sent.
	addr := e.Flow.Client.Addr()
	if e.Side == flow.Client {
		addr = e.Flow.Server.Addr()
	}
	p := r.byAddr[addr]
	if p == nil {
		if len(r.byAddr) >= maxPeers {
			return
		}
		if r.byAddr == nil {
			r.byAddr = map[netip.Addr]*Peer{}
		}
		p = &Peer{Addr: addr}
		r.byAddr[addr] = p
	}
	bin := p.bin(e.Time / 1e9)
	bin.N++
	bin.Sum += e.Value
	bin.Max = max(bin.Max, e.Value)
}

// bin gives the bin of a second; time hardly ever goes back, and then not far.
func (p *Peer) bin(second int64) *Bin {
	at := len(p.Bins)
	for at > 0 && p.Bins[at-1].Second > second {
		at--
	}
	if at == 0 || p.Bins[at-1].Second != second {
		p.Bins = slices.Insert(p.Bins, at, Bin{Second: second})
		at++
	}
	return &p.Bins[at-1]
}

// List gives the peers in the order of their addresses, without this host's own: what
// was measured on a peer's data is this host's delay in acknowledging.
func (r *Peers) List(local map[netip.Addr]bool) []*Peer {
	var all []*Peer
	for _, p := range r.byAddr {
		if !local[p.Addr] {
			all = append(all, p)
		}
	}
	slices.SortFunc(all, func(a, b *Peer) int { return a.Addr.Compare(b.Addr) })
	return all
}
