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
	BranchAddr   = "100.64.0.6/30"
	// HealthyNet and CrowdNet are both the clients host's own: one host stands for
	// the internet.
	HealthyNet = "198.51.100.0/24"
	CrowdNet   = "203.0.113.0/24"
	SpoofNet   = "198.18.0.0/15" // nobody's: the router discards what goes there
)

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
	p := netip.MustParsePrefix(addr)
	h.Addr = p.Addr().String()
	router.must(func() error { return plug(name, h, p) })
	h.must(func() error { return settle(p, nets) })
	router.must(func() error { return routes(name, h.Addr, nets) })
	s.Until("the link of "+name, 10*time.Second, func() bool { return router.carries(name) && h.carries("eth0") })
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
	if h := s.known("router"); h != nil {
		return h
	}
	h := s.bareHost("router")
	h.Sysctl("ipv4/ip_forward", "1")
	h.must(func() error { return discard(SpoofNet) })
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
	return h
}

// Edge is the host that the recorder watches.
func (s *Stage) Edge() *Host { return s.Host("edge-1", EdgeAddr) }

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
func settle(p netip.Prefix, nets []string) error {
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
		r := netlink.Route{LinkIndex: lo.Attrs().Index, Dst: ipNet(n), Type: unix.RTN_LOCAL,
			Table: unix.RT_TABLE_LOCAL, Scope: netlink.SCOPE_HOST}
		if err := netlink.RouteAdd(&r); err != nil {
			return fmt.Errorf("claim %s: %w", n, err)
		}
	}
	return nil
}

// routes sends nets to the host at addr, on the router.
func routes(port, addr string, nets []string) error {
	var errs error
	for _, n := range nets {
		if err := netlink.RouteAdd(&netlink.Route{Dst: ipNet(n), Gw: net.ParseIP(addr)}); err != nil {
			errs = errors.Join(errs, fmt.Errorf("add route to %s: %w", n, err))
		}
	}
	return errs
}

// discard lets a router swallow what is for net, without an ICMP error.
func discard(net string) error {
	if err := netlink.RouteAdd(&netlink.Route{Dst: ipNet(net), Type: unix.RTN_BLACKHOLE}); err != nil {
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
		list, err := netlink.RouteListFiltered(netlink.FAMILY_V4, &netlink.Route{}, netlink.RT_FILTER_DST)
		if err != nil || len(list) != 1 {
			return fmt.Errorf("find the default route: %d there: %w", len(list), err)
		}
		change(&list[0])
		if err := netlink.RouteReplace(&list[0]); err != nil {
			return fmt.Errorf("replace the default route: %w", err)
		}
		return nil
	})
}

// LoseDefaultRoute leaves the host with a route to nets, and none to anybody else.
func (h *Host) LoseDefaultRoute(nets ...string) {
	h.must(func() error {
		list, err := netlink.RouteListFiltered(netlink.FAMILY_V4, &netlink.Route{}, netlink.RT_FILTER_DST)
		if err != nil || len(list) != 1 {
			return fmt.Errorf("find the default route: %d there: %w", len(list), err)
		}
		if err := routes("eth0", list[0].Gw.String(), nets); err != nil {
			return err
		}
		if err := netlink.RouteDel(&list[0]); err != nil {
			return fmt.Errorf("remove the default route: %w", err)
		}
		return nil
	})
}

// Neighbour lets the host believe that another one is on its own wire: it asks for its
// hardware address there, and the router answers for it (proxy_arp) for as long as Vouch says.
func (h *Host) Neighbour(other *Host) {
	h.stage.Router().Vouch(h, true)
	h.must(func() error {
		eth0, err := netlink.LinkByName("eth0")
		if err != nil {
			return fmt.Errorf("find interface eth0: %w", err)
		}
		r := netlink.Route{LinkIndex: eth0.Attrs().Index, Dst: ipNet(other.Addr + "/32"), Scope: netlink.SCOPE_LINK}
		if err := netlink.RouteAdd(&r); err != nil {
			return fmt.Errorf("add route to neighbour %s: %w", other.Addr, err)
		}
		return nil
	})
}

// Vouch says whether the router answers ARP for other hosts on the wire of h.
func (router *Host) Vouch(h *Host, yes bool) {
	value := "0"
	if yes {
		value = "1"
		router.Sysctl("ipv4/neigh/"+h.name+"/proxy_delay", "0")
	}
	router.Sysctl("ipv4/conf/"+h.name+"/proxy_arp", value)
}

// Forget removes what the host knows of a neighbour's hardware address, as its cache does by
// itself after some time.
func (h *Host) Forget(other *Host) {
	h.must(func() error {
		eth0, err := netlink.LinkByName("eth0")
		if err != nil {
			return fmt.Errorf("find interface eth0: %w", err)
		}
		n := netlink.Neigh{LinkIndex: eth0.Attrs().Index, IP: net.ParseIP(other.Addr), State: netlink.NUD_FAILED}
		if err := netlink.NeighDel(&n); err != nil {
			return fmt.Errorf("forget neighbour %s: %w", other.Addr, err)
		}
		return nil
	})
}

// address gives an interface of the calling thread's namespace an address and sets it up.
func address(link string, p netip.Prefix) error {
	l, err := netlink.LinkByName(link)
	if err != nil {
		return fmt.Errorf("find interface %s: %w", link, err)
	}
	addr := netlink.Addr{IPNet: &net.IPNet{IP: p.Addr().AsSlice(), Mask: net.CIDRMask(p.Bits(), 32)}}
	if err := netlink.AddrAdd(l, &addr); err != nil {
		return fmt.Errorf("add address %s to %s: %w", p, link, err)
	}
	return linkUp(link)
}

// ipNet parses a constant of the address plan.
func ipNet(cidr string) *net.IPNet {
	_, n, err := net.ParseCIDR(cidr)
	if err != nil {
		panic(err)
	}
	return n
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
