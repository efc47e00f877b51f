//go:build linux

package lab

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"

	"github.com/google/nftables"
	"github.com/google/nftables/expr"
)

// Variant is how a run differs from the incident as it was written: what was told must be found over another
// protocol, with another server, through a translation of addresses, too.
type Variant struct {
	IPv6 bool // in place of IPv4, everywhere
	// Server is the program that serves on the recorder's host in place of the lab's own: one of Servers.
	Server string
	NAT    bool // the router translates: all clients have its own address

	hidden bool // at this host the clients' own addresses are not seen
}

// Servers are the programs that can stand in: nginx, alone where it has no upstream, and haproxy before the lab's
// own server, which listens on the loopback interface then.
var Servers = []string{"nginx", "haproxy"}

// Check says what is wrong with a variant.
func (v Variant) Check() error {
	if v.Server != "" && !slices.Contains(Servers, v.Server) {
		return fmt.Errorf("no server %q; there are %v", v.Server, Servers)
	}
	return nil
}

// errVariant is what an incident cannot do in a variant.
var errVariant = errors.New("not in this variant")

// The IPv6 plan holds the IPv4 plan: 203.0.113.11 of a /24 is 2001:db8:cb00:7100::b of a /64 (RFC 3849).
func sixth(p netip.Prefix) netip.Prefix {
	a := p.Addr().As4()
	six := netip.AddrFrom16([16]byte{0x20, 0x01, 0x0d, 0xb8, a[0], a[1], a[2], 15: a[3]})
	switch bits := p.Bits(); {
	case bits == 32:
		return netip.PrefixFrom(six, 128)
	case bits >= 24:
		return netip.PrefixFrom(six, 64)
	default:
		return netip.PrefixFrom(six, 32+bits)
	}
}

// prefix gives a prefix of the plan, which is written in IPv4, as this run has it.
func (v Variant) prefix(cidr string) netip.Prefix {
	p := netip.MustParsePrefix(cidr)
	if v.IPv6 && p.Addr().Is4() {
		p = sixth(p)
	}
	return p
}

// address gives an address of the plan as this run has it.
func (v Variant) address(addr string) string {
	a := netip.MustParseAddr(addr)
	return v.prefix(netip.PrefixFrom(a, a.BitLen()).String()).Addr().String()
}

// addresses gives addresses of the plan as this run has them.
func (v Variant) addresses(list []string) (all []string) {
	for _, a := range list {
		all = append(all, v.address(a))
	}
	return all
}

// network is prefix as net has it.
func (v Variant) network(cidr string) *net.IPNet {
	p := v.prefix(cidr)
	return &net.IPNet{IP: p.Masked().Addr().AsSlice(), Mask: net.CIDRMask(p.Bits(), p.Addr().BitLen())}
}

// networks is network for several.
func (v Variant) networks(list []string) (all []*net.IPNet) {
	for _, n := range list {
		all = append(all, v.network(n))
	}
	return all
}

// host is the prefix length of one address.
func (v Variant) host() string {
	if v.IPv6 {
		return "/128"
	}
	return "/32"
}

// family is that of nftables.
func (v Variant) family() nftables.TableFamily {
	if v.IPv6 {
		return nftables.TableFamilyIPv6
	}
	return nftables.TableFamilyIPv4
}

// Masquerade gives everything that the host sends by an interface its own address.
func (h *Host) Masquerade(link string) {
	c := h.nftables()
	t := c.AddTable(&nftables.Table{Family: h.stage.opt.Variant.family(), Name: "translate"})
	chain := c.AddChain(&nftables.Chain{
		Name: "out", Table: t, Type: nftables.ChainTypeNAT,
		Hooknum: nftables.ChainHookPostrouting, Priority: nftables.ChainPriorityNATSource,
	})
	name := make([]byte, 16) // IFNAMSIZ
	copy(name, link)
	c.AddRule(&nftables.Rule{Table: t, Chain: chain, Exprs: []expr.Any{
		&expr.Meta{Key: expr.MetaKeyOIFNAME, Register: 1},
		&expr.Cmp{Op: expr.CmpOpEq, Register: 1, Data: name},
		&expr.Masq{},
	}})
	h.flush(c, "translate addresses")
}
