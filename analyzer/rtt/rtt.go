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

// maxPeers bounds the addresses whose round trips are kept apart, to 10 MB; those of further
// ones are not kept.
const maxPeers = 1 << 16

const (
	// maxBins bounds the seconds of all peers together, to 32 MB: a minute of 17,000 peers
	// that speak every second, or a day of ten.
	maxBins = 1 << 20
	// maxBack is how many of a peer's seconds a late sample is looked for in: interfaces are
	// milliseconds apart, and a capture that runs backwards would make this a search through all.
	maxBack = 64
)

// Peers collects the round-trip samples of a flow table. The zero value is empty.
type Peers struct {
	byAddr map[netip.Addr]*Peer
	bins   int // of all peers
	left   uint64
}

// Left is how many samples were not kept: of peers or seconds beyond the bounds.
func (r *Peers) Left() uint64 { return r.left }

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
			r.left++
			return
		}
		if r.byAddr == nil {
			r.byAddr = map[netip.Addr]*Peer{}
		}
		p = &Peer{Addr: addr}
		r.byAddr[addr] = p
	}
	bin := r.bin(p, e.Time/1e9)
	if bin == nil {
		r.left++
		return
	}
	bin.N++
	bin.Sum += e.Value
	bin.Max = max(bin.Max, e.Value)
}

// bin gives the bin of a second, nil where there is no room for it; time hardly ever goes back,
// and then not far.
func (r *Peers) bin(p *Peer, second int64) *Bin {
	at, first := len(p.Bins), max(0, len(p.Bins)-maxBack)
	for at > first && p.Bins[at-1].Second > second {
		at--
	}
	if at > 0 && p.Bins[at-1].Second == second {
		return &p.Bins[at-1]
	}
	if r.bins == maxBins || at == first && first > 0 {
		return nil
	}
	r.bins++
	p.Bins = slices.Insert(p.Bins, at, Bin{Second: second})
	return &p.Bins[at]
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
