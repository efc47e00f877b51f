package traffic

import (
	"cmp"
	"net"
	"net/netip"
	"slices"

	"github.com/spikebox/spikebox/analyzer/packet"
)

// Claim is a link address that said on an interface that an IP address is its own: the sender of ARP requests and
// replies (RFC 826).
type Claim struct {
	Addr             netip.Addr
	Link             net.HardwareAddr
	Interface, Input uint16
	Out              bool  // by this host
	First, Last      int64 // Unix ns
	N                uint64
	Frames           []uint64 // of the first ones
}

// maxClaims bounds who claims what: a provider's access network has some thousand customers on one wire.
const (
	maxClaims      = 1 << 14
	maxClaimFrames = 4
)

// Claims follows who says to have which address. The zero value is empty.
type Claims struct{ all map[claimKey]*Claim }

type claimKey struct {
	addr  packet.Addr
	link  [6]byte
	iface uint16
	vlan  uint16
	out   bool
}

// Add takes a packet of ARP. A probe says that its sender has no address yet (RFC 5227).
func (s *Claims) Add(p *packet.Packet) {
	if p.Src == (packet.Addr{}) {
		return
	}
	key := claimKey{p.Src, p.Link, p.Interface, p.VLAN, p.Dir == packet.DirOut}
	c := s.all[key]
	if c == nil {
		if len(s.all) >= maxClaims {
			return
		}
		if s.all == nil {
			s.all = map[claimKey]*Claim{}
		}
		c = &Claim{Addr: p.Src.Netip(false), Link: net.HardwareAddr(p.Link[:]), Interface: p.Interface, Input: p.Input, Out: key.out, First: p.Time}
		c.Link = slices.Clone(c.Link)
		s.all[key] = c
	}
	c.N++
	c.Last = max(c.Last, p.Time)
	if len(c.Frames) < maxClaimFrames {
		c.Frames = append(c.Frames, p.Frame)
	}
}

// List gives the claims by address, and who claimed it first before others.
func (s *Claims) List() []*Claim {
	var list []*Claim
	for _, c := range s.all {
		list = append(list, c)
	}
	slices.SortFunc(list, func(a, b *Claim) int {
		return cmp.Or(a.Addr.Compare(b.Addr), cmp.Compare(a.Input, b.Input), cmp.Compare(a.Interface, b.Interface), cmp.Compare(a.First, b.First), slices.Compare(a.Link, b.Link))
	})
	return list
}
