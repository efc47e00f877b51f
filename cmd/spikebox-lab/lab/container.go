//go:build linux

package lab

import (
	"fmt"
	"net"
	"net/netip"

	"github.com/google/nftables"
	"github.com/google/nftables/binaryutil"
	"github.com/google/nftables/expr"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// containerNet is the network of a host's containers; its first address is the host's own.
const containerNet = "10.88.0.1/24"

// bridge is the host's end of it.
const bridge = "cni0"

// Container returns the nth container of a host, from 1 on, as a container runtime makes it: a network
// namespace joined to a bridge, behind the host's own address. eth0 is its end.
func (s *Stage) Container(h *Host, n int) *Host {
	name := fmt.Sprintf("%s-c%d", h.name, n)
	if c := s.known(name); c != nil {
		return c
	}
	net := s.opt.prefix(containerNet)
	if !h.bridged {
		h.bridged = true
		h.Sysctl("ipv4/ip_forward", "1")
		h.Sysctl("ipv6/conf/all/forwarding", "1")
		h.must(func() error {
			if err := netlink.LinkAdd(&netlink.Bridge{LinkAttrs: netlink.LinkAttrs{Name: bridge}}); err != nil {
				return fmt.Errorf("make bridge %s: %w", bridge, err)
			}
			return address(bridge, net)
		})
		h.Masquerade("eth0")
	}
	c := s.bareHost(name)
	at := net.Addr()
	for range n + 9 {
		at = at.Next()
	}
	c.Addr = at.String()
	port := fmt.Sprintf("veth%d", n)
	h.must(func() error { return enslave(port, c) })
	c.must(func() error { return settle(netip.PrefixFrom(at, net.Bits()), nil) })
	s.Until("the link of "+name, linkLimit, func() bool { return h.carries(port) && h.carries(bridge) && c.carries("eth0") })
	return c
}

// enslave makes the veth pair of a container, and its end on the calling thread's host a port of the bridge.
func enslave(port string, c *Host) error {
	err := netlink.LinkAdd(&netlink.Veth{
		LinkAttrs: netlink.LinkAttrs{Name: port}, PeerName: "eth0", PeerNamespace: netlink.NsFd(c.ns),
	})
	if err != nil {
		return fmt.Errorf("make veth pair to %s: %w", port, err)
	}
	l, err := netlink.LinkByName(port)
	if err != nil {
		return fmt.Errorf("find interface %s: %w", port, err)
	}
	br, err := netlink.LinkByName(bridge)
	if err != nil {
		return fmt.Errorf("find interface %s: %w", bridge, err)
	}
	if err := netlink.LinkSetMaster(l, br); err != nil {
		return fmt.Errorf("put %s into bridge %s: %w", port, bridge, err)
	}
	return linkUp(port)
}

// Publish sends what comes for a port of the host to a container instead, in place of what Publish said before.
func (h *Host) Publish(port int, c *Host) {
	conn := h.nftables()
	t := conn.AddTable(&nftables.Table{Family: h.stage.opt.family(), Name: "publish"})
	chain := conn.AddChain(&nftables.Chain{
		Name: "in", Table: t, Type: nftables.ChainTypeNAT,
		Hooknum: nftables.ChainHookPrerouting, Priority: nftables.ChainPriorityNATDest,
	})
	conn.FlushChain(chain)
	family, addr := uint32(unix.NFPROTO_IPV4), net.ParseIP(c.Addr).To4()
	if h.stage.opt.IPv6 {
		family, addr = unix.NFPROTO_IPV6, net.ParseIP(c.Addr).To16()
	}
	rule := append(h.all([]Match{Port(uint16(port)), To(h.Addr + h.stage.opt.host())}),
		&expr.Immediate{Register: 1, Data: addr},
		&expr.Immediate{Register: 2, Data: binaryutil.BigEndian.PutUint16(uint16(port))},
		&expr.NAT{Type: expr.NATTypeDestNAT, Family: family, RegAddrMin: 1, RegProtoMin: 2})
	conn.AddRule(&nftables.Rule{Table: t, Chain: chain, Exprs: rule})
	h.flush(conn, "publish a port")
}
