package evidence

import (
	"net/netip"
	"slices"

	"github.com/spikebox/spikebox/analyzer/flow"
)

// PeerRTT is the round trips between the tap and one address, second by second.
type PeerRTT struct {
	Peer netip.Addr
	Bins []RTTBin // ascending; a second without a sample has none
}

// RTTBin is the round trips of one second, in ns.
type RTTBin struct {
	Second   int64 // Unix s
	N        uint32
	Sum, Max int64
}

// Mean gives the mean round trip in seconds.
func (b *RTTBin) Mean() float64 { return float64(b.Sum) / float64(b.N) / 1e9 }

// maxPeers bounds the addresses whose round trips are kept apart; those of further
// ones are not kept. 4096 peers in a window of a minute take about 10 MB.
const maxPeers = 4096

// roundTrips collects the samples of the flow table.
type roundTrips struct{ peers map[netip.Addr]*PeerRTT }

// event takes a round-trip sample: it was measured on what one side sent, and tells the
// way from the tap to the other side and back.
func (r *roundTrips) event(e *flow.Event) {
	if e.Kind != flow.EventRTT {
		return
	}
	peer := e.Flow.Client.Addr()
	if e.Side == flow.Client {
		peer = e.Flow.Server.Addr()
	}
	p := r.peers[peer]
	if p == nil {
		if len(r.peers) >= maxPeers {
			return
		}
		if r.peers == nil {
			r.peers = map[netip.Addr]*PeerRTT{}
		}
		p = &PeerRTT{Peer: peer}
		r.peers[peer] = p
	}
	bin := p.bin(e.Time / 1e9)
	bin.N++
	bin.Sum += e.Value
	bin.Max = max(bin.Max, e.Value)
}

// bin gives the bin of a second; time hardly ever goes back, and then not far.
func (p *PeerRTT) bin(second int64) *RTTBin {
	at := len(p.Bins)
	for at > 0 && p.Bins[at-1].Second > second {
		at--
	}
	if at == 0 || p.Bins[at-1].Second != second {
		p.Bins = slices.Insert(p.Bins, at, RTTBin{Second: second})
		at++
	}
	return &p.Bins[at-1]
}

// list gives the peers in the order of their addresses, without this host's own: what
// was measured on a peer's data is this host's delay in acknowledging.
func (r *roundTrips) list(local map[netip.Addr]bool) []*PeerRTT {
	var all []*PeerRTT
	for _, p := range r.peers {
		if !local[p.Peer] {
			all = append(all, p)
		}
	}
	slices.SortFunc(all, func(a, b *PeerRTT) int { return a.Peer.Compare(b.Peer) })
	return all
}
