//go:build linux

package lab

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// The lab's address plan, from blocks that belong to nobody (RFC 5737, RFC 2544).
const (
	EdgeAddr     = "192.0.2.10/24"
	UpstreamAddr = "10.20.0.10/24"
	clientsAddr  = "100.64.0.2/30"
	BranchAddr   = "100.64.1.2/30"
	// HealthyNet and CrowdNet are both the clients host's own: one host stands for
	// the internet.
	HealthyNet = "198.51.100.0/24"
	CrowdNet   = "203.0.113.0/24"
	SpoofNet   = "198.18.0.0/15" // nobody's: the router discards what goes there
)

// linkLimit is how long a link may take to come up.
const linkLimit = 10 * time.Second

// edgeName is the host on which the recorder is armed.
const edgeName = "edge-1"

// routerName is the host between all others.
const routerName = "router"

// clientsName is the host on which most clients are.
const clientsName = "clients"

// Host returns the host of that name. The first call makes it, joined to the router by a
// veth pair: eth0 on the host, the host's name on the router. The host answers on addr
// and on every address of nets.
func (s *Stage) Host(name, addr string, nets ...string) *Host {
	if h := s.known(name); h != nil {
		return h
	}
	router := s.Router()
	h := s.bareHost(name)
	p := s.opt.prefix(addr)
	h.Addr = p.Addr().String()
	router.must(func() error { return plug(name, h, p) })
	h.must(func() error { return settle(p, s.opt.networks(nets)) })
	router.must(func() error { return routes(h.Addr, s.opt.networks(nets)) })
	if s.opt.NAT && name == edgeName {
		router.Masquerade(name)
	}
	s.Until("the link of "+name, linkLimit, func() bool { return router.carries(name) && h.carries("eth0") })
	return h
}

// carries says that an interface of the host sends what it is given. An end of a veth pair
// has no queueing discipline, and loses everything without a word, until the kernel's link
// watch has seen its carrier: at once, or as much as a second after the last event of any
// interface (net/core/link_watch.c, linkwatch_schedule_work, linkwatch_do_dev).
func (h *Host) carries(link string) (up bool) {
	h.must(func() error {
		l, err := netlink.LinkByName(link)
		up = err == nil && l.Attrs().OperState == netlink.OperUp
		return err
	})
	return up
}

// Router is the host between all others: it forwards what they send, and discards what
// is for SpoofNet.
func (s *Stage) Router() *Host {
	if h := s.known(routerName); h != nil {
		return h
	}
	h := s.bareHost(routerName)
	h.Sysctl("ipv4/ip_forward", "1")
	h.Sysctl("ipv6/conf/all/forwarding", "1")
	h.must(func() error { return discard(s.opt.network(SpoofNet)) })
	return h
}

// known finds a host that is there.
func (s *Stage) known(name string) *Host {
	for _, h := range s.hosts {
		if h.name == name {
			return h
		}
	}
	return nil
}

// bareHost adds a host that is joined to nothing.
func (s *Stage) bareHost(name string) *Host {
	h, err := s.newHost(name)
	s.check(err)
	s.hosts = append(s.hosts, h)
	s.truth.host(h)
	h.Sysctl("ipv6/conf/default/accept_dad", "0") // nobody else has these addresses
	h.Sysctl("ipv6/ip_nonlocal_bind", "1")        // what settle claims counts as nonlocal there
	return h
}

// At gives a port of the host.
func (h *Host) At(port int) string {
	return netip.AddrPortFrom(netip.MustParseAddr(h.Addr), uint16(port)).String()
}

// Edge is the host that the recorder watches.
func (s *Stage) Edge() *Host { return s.Host(edgeName, EdgeAddr) }

// Clients is the internet before edge-1.
func (s *Stage) Clients() *Host { return s.Host(clientsName, clientsAddr, HealthyNet, CrowdNet) }

// Upstream is a server behind edge-1.
func (s *Stage) Upstream() *Host { return s.Host("db-1", UpstreamAddr) }

// plug makes the veth pair, on the router. The router's address is the network's
// first.
func plug(port string, h *Host, p netip.Prefix) error {
	err := netlink.LinkAdd(&netlink.Veth{
		LinkAttrs:     netlink.LinkAttrs{Name: port},
		PeerName:      "eth0",
		PeerNamespace: netlink.NsFd(h.ns),
	})
	if err != nil {
		return fmt.Errorf("make veth pair to %s: %w", port, err)
	}
	return address(port, netip.PrefixFrom(gateway(p), p.Bits()))
}

// gateway is the router's address in a network: the first one.
func gateway(p netip.Prefix) netip.Addr { return p.Masked().Addr().Next() }

// settle gives eth0 its address, sends everything else to the router and claims nets.
func settle(p netip.Prefix, nets []*net.IPNet) error {
	if err := address("eth0", p); err != nil {
		return err
	}
	if err := netlink.RouteAdd(&netlink.Route{Gw: gateway(p).AsSlice()}); err != nil {
		return fmt.Errorf("add default route: %w", err)
	}
	lo, err := netlink.LinkByName("lo")
	if err != nil {
		return fmt.Errorf("find interface lo: %w", err)
	}
	for _, n := range nets {
		// "local" makes every address of the net the host's own, without one
		// address entry each.
		r := netlink.Route{LinkIndex: lo.Attrs().Index, Dst: n, Type: unix.RTN_LOCAL,
			Table: unix.RT_TABLE_LOCAL, Scope: netlink.SCOPE_HOST}
		if err := netlink.RouteAdd(&r); err != nil {
			return fmt.Errorf("claim %s: %w", n, err)
		}
	}
	return nil
}

// routes sends nets to the host at addr, on the router.
func routes(addr string, nets []*net.IPNet) error {
	var errs error
	for _, n := range nets {
		if err := netlink.RouteAdd(&netlink.Route{Dst: n, Gw: net.ParseIP(addr)}); err != nil {
			errs = errors.Join(errs, fmt.Errorf("add route to %s: %w", n, err))
		}
	}
	return errs
}

// discard lets a router swallow what is for net, without an ICMP error.
func discard(net *net.IPNet) error {
	if err := netlink.RouteAdd(&netlink.Route{Dst: net, Type: unix.RTN_BLACKHOLE}); err != nil {
		return fmt.Errorf("discard %s: %w", net, err)
	}
	return nil
}

// InitCwnd lets new connections of the host begin with a congestion window of that many
// segments.
func (h *Host) InitCwnd(segments int) {
	h.tune(func(r *netlink.Route) { r.InitCwnd = segments })
}

// QuickACK lets the host acknowledge at once, never delayed.
func (h *Host) QuickACK() {
	h.tune(func(r *netlink.Route) { r.QuickACK = 1 })
}

// tune replaces the default route of a host by one that change has changed.
func (h *Host) tune(change func(*netlink.Route)) {
	h.must(func() error {
		r, err := defaultRoute()
		if err != nil {
			return err
		}
		change(r)
		if err := netlink.RouteReplace(r); err != nil {
			return fmt.Errorf("replace the default route: %w", err)
		}
		return nil
	})
}

// defaultRoute finds that of the calling thread's namespace, of either family.
func defaultRoute() (*netlink.Route, error) {
	list, err := netlink.RouteList(nil, netlink.FAMILY_ALL)
	if err != nil {
		return nil, fmt.Errorf("list routes: %w", err)
	}
	for i := range list {
		r := &list[i]
		bits := 0
		if r.Dst != nil {
			bits, _ = r.Dst.Mask.Size()
		}
		if r.Gw != nil && bits == 0 {
			return r, nil
		}
	}
	return nil, errors.New("find the default route: none there")
}

// LoseDefaultRoute leaves the host with a route to nets, and none to anybody else.
func (h *Host) LoseDefaultRoute(nets ...string) {
	if h.stage.opt.NAT && h.name == edgeName {
		h.stage.check(fmt.Errorf("lose the route to clients behind a translation of addresses: %w", errVariant))
	}
	h.must(func() error {
		r, err := defaultRoute()
		if err != nil {
			return err
		}
		if err := routes(r.Gw.String(), h.stage.opt.networks(nets)); err != nil {
			return err
		}
		if err := netlink.RouteDel(r); err != nil {
			return fmt.Errorf("remove the default route: %w", err)
		}
		return nil
	})
}

// Neighbour lets the host believe that another one is on its own wire: it asks for its
// hardware address there, and the router answers for it (proxy_arp) for as long as Vouch says.
func (h *Host) Neighbour(other *Host) {
	h.stage.Router().Vouch(h, other, true)
	h.must(func() error {
		eth0, err := netlink.LinkByName("eth0")
		if err != nil {
			return fmt.Errorf("find interface eth0: %w", err)
		}
		a := netip.MustParseAddr(other.Addr)
		r := netlink.Route{LinkIndex: eth0.Attrs().Index, Dst: h.stage.opt.network(netip.PrefixFrom(a, a.BitLen()).String()), Scope: netlink.SCOPE_LINK}
		if err := netlink.RouteAdd(&r); err != nil {
			return fmt.Errorf("add route to neighbour %s: %w", other.Addr, err)
		}
		return nil
	})
}

// Vouch says whether the router answers ARP, or neighbour discovery, for another host on the wire of h.
func (router *Host) Vouch(h, other *Host, yes bool) {
	if router.stage.opt.IPv6 {
		router.vouch6(h, other, yes)
		return
	}
	value := "0"
	if yes {
		value = "1"
		router.Sysctl("ipv4/neigh/"+h.name+"/proxy_delay", "0")
	}
	router.Sysctl("ipv4/conf/"+h.name+"/proxy_arp", value)
}

// vouch6 is Vouch for IPv6, which wants the address by name.
func (router *Host) vouch6(h, other *Host, yes bool) {
	router.Sysctl("ipv6/conf/"+h.name+"/proxy_ndp", "1")
	router.Sysctl("ipv6/neigh/"+h.name+"/proxy_delay", "0")
	router.must(func() error {
		port, err := netlink.LinkByName(h.name)
		if err != nil {
			return fmt.Errorf("find interface %s: %w", h.name, err)
		}
		n := netlink.Neigh{LinkIndex: port.Attrs().Index, IP: net.ParseIP(other.Addr), Family: netlink.FAMILY_V6, Flags: netlink.NTF_PROXY}
		if !yes {
			return netlink.NeighDel(&n)
		}
		return netlink.NeighAdd(&n)
	})
}

// Forget removes what the host knows of a neighbour's hardware address, as its cache does by
// itself after some time.
func (h *Host) Forget(other *Host) {
	wire := "eth0"
	if h.name == routerName {
		wire = other.name
	}
	h.must(func() error {
		link, err := netlink.LinkByName(wire)
		if err != nil {
			return fmt.Errorf("find interface %s: %w", wire, err)
		}
		n := netlink.Neigh{LinkIndex: link.Attrs().Index, IP: net.ParseIP(other.Addr), State: netlink.NUD_FAILED}
		if err := netlink.NeighDel(&n); err != nil {
			return fmt.Errorf("forget neighbour %s: %w", other.Addr, err)
		}
		return nil
	})
}

// Vanish lets the host be there no more for anybody: it takes nothing in, and answers no question for its hardware
// address (arp_ignore 8: for no address; of IPv6 that is ICMP, which is not taken in).
func (h *Host) Vanish() {
	h.Sysctl("ipv4/conf/all/arp_ignore", "8")
	h.Drop(Input)
}

// address gives an interface of the calling thread's namespace an address and sets it up.
func address(link string, p netip.Prefix) error {
	l, err := netlink.LinkByName(link)
	if err != nil {
		return fmt.Errorf("find interface %s: %w", link, err)
	}
	addr := netlink.Addr{IPNet: &net.IPNet{IP: p.Addr().AsSlice(), Mask: net.CIDRMask(p.Bits(), p.Addr().BitLen())}}
	if p.Addr().Is6() {
		addr.Flags = unix.IFA_F_NODAD
	}
	if err := netlink.AddrAdd(l, &addr); err != nil {
		return fmt.Errorf("add address %s to %s: %w", p, link, err)
	}
	return linkUp(link)
}

// Addresses returns the first n host addresses of a network of the plan, from .11 on.
func Addresses(cidr string, n int) (list []string) {
	a := netip.MustParsePrefix(cidr).Addr()
	for range 11 {
		a = a.Next()
	}
	for range n {
		list = append(list, a.String())
		a = a.Next()
	}
	return list
}
