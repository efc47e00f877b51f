package traffic

import (
	"net/netip"
	"slices"

	"github.com/spikebox/spikebox/analyzer/flow"
)

// Path is what was sent to and from one address, and sent again.
type Path struct {
	Addr netip.Addr
	Ways [2]Load
	// Begun is the Unix ns of the first packet of the latest connection that this address has set up as a client; 0 without any.
	Begun int64
}

// The ways of a path, as seen from everybody else.
const (
	Toward = iota // data for this address
	From          // data of this address
)

// Load is the segments on one way.
type Load struct {
	Segments, Again uint64 // sent, and sent again: data and FINs of all flows
	// Of Again: by timeout, by SACK or duplicate ACKs, as a probe of the tail; needless; never captured before.
	Timeout, Fast, Probe, Needless, Unseen uint64
	Flows, Hit                             uint64 // flows with data, and with some sent again
	Interfaces                             uint64 // of the flows that are hit, a bit for each of the first 64
	// LargeSince is the Unix ns of the first packet of the latest flow in which large segments were acknowledged.
	LargeSince int64
	// Large is the flows in which large segments were acknowledged.
	Large    Part
	Seconds  []Second // Again by second
	Examples []Example
}

// Part is some of a path's flows, and the segments that were sent in them.
type Part struct{ Flows, Segments, Again uint64 }

// maxPaths bounds the addresses that are kept apart.
const maxPaths = 1 << 16

// to gives the path of an address, nil where there is no room for it.
func (s *Sums) to(a netip.Addr) *Path {
	p := s.paths[a]
	if p == nil && len(s.paths) < maxPaths {
		if s.paths == nil {
			s.paths = map[netip.Addr]*Path{}
		}
		p = &Path{Addr: a}
		s.paths[a] = p
	}
	return p
}

// ends gives the sender's and the receiver's address of a side.
func ends(f *flow.Flow, sender flow.Side) (from, to netip.Addr) {
	if sender == flow.Client {
		return f.Client.Addr(), f.Server.Addr()
	}
	return f.Server.Addr(), f.Client.Addr()
}

// again counts segments that were sent again.
func (s *Sums) again(e *flow.Event) {
	if e.Side == flow.Client && untaken(e.Flow) {
		return
	}
	from, to := ends(e.Flow, e.Side)
	at := e.Time / 1e9
	for way, addr := range [2]netip.Addr{to, from} {
		if p := s.to(addr); p != nil {
			for range min(e.Value, 64) {
				count(&p.Ways[way].Seconds, at, s)
			}
		}
	}
}

// untaken says that the server has sent nothing but SYN-ACKs: what the client sends again was not lost on
// its way, but the server does not have the connection. The handshake's checks tell of that.
func untaken(f *flow.Flow) bool {
	h := &f.Handshake
	return len(h.SYNACKs) > 0 && f.S2C().Distinct() <= h.SYNACKRetransmits+1
}

// path adds a flow that has ended to the paths of both ends.
func (s *Sums) path(f *flow.Flow) {
	for side := range f.Dirs {
		d := &f.Dirs[side]
		if d.Bytes == 0 || side == int(flow.Client) && untaken(f) {
			continue
		}
		from, to := ends(f, flow.Side(side))
		for way, addr := range [2]netip.Addr{to, from} {
			if p := s.to(addr); p != nil {
				p.Ways[way].add(f, d, s)
			}
		}
	}
}

// add counts a direction of a flow. SYNs sent again are the handshake's.
func (l *Load) add(f *flow.Flow, d *flow.Direction, s *Sums) {
	l.Flows++
	segments := d.DistinctSegments()
	l.Segments += segments
	syns := f.Handshake.SYNRetransmits
	if d == f.S2C() {
		syns = f.Handshake.SYNACKRetransmits
	}
	again := d.Retransmits - min(syns, d.Retransmits)
	const bulk = 8 // segments: below that nothing is known of large ones
	if segments >= bulk && d.UniqueBytes/segments >= large/2 && uint64(d.Acknowledged()) >= bulk/2*large {
		l.LargeSince = max(l.LargeSince, f.First)
		l.Large.Flows, l.Large.Segments, l.Large.Again = l.Large.Flows+1, l.Large.Segments+segments, l.Large.Again+uint64(again)
	}
	if again == 0 {
		return
	}
	l.Hit++
	if f.Interface < 64 {
		l.Interfaces |= 1 << f.Interface
	}
	l.Again += uint64(again)
	l.Timeout += uint64(d.RetransmitsTimeout - min(syns, d.RetransmitsTimeout))
	l.Fast += uint64(d.RetransmitsFast)
	l.Probe += uint64(d.RetransmitsProbe)
	l.Needless += uint64(d.RetransmitsSpurious)
	l.Unseen += uint64(d.NeverCaptured)
	h := Hits{Examples: l.Examples}
	h.example(f, int64(again), s)
	l.Examples = h.Examples
}

// Paths gives the paths in the order of their addresses, without those of the addresses left out.
func (s *Sums) Paths(without map[netip.Addr]bool) []*Path {
	var all []*Path
	for _, p := range s.paths {
		if !without[p.Addr] {
			all = append(all, p)
		}
	}
	slices.SortFunc(all, func(a, b *Path) int { return a.Addr.Compare(b.Addr) })
	return all
}
