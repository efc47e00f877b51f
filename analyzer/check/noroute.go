package check

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"github.com/spikebox/spikebox/analyzer/handshake"
	"github.com/spikebox/spikebox/analyzer/internal/words"
	"github.com/spikebox/spikebox/analyzer/rtt"
	"github.com/spikebox/spikebox/format/member"
)

var noRoute = Check{
	ID:    "no-route",
	Title: "This host had no route",
	Doc:   "packets were not sent because no route led to their destination",
	Page: `A packet for which the routing tables have no way, or one of the types unreachable,
prohibit or blackhole, is not sent: a program that connects gets an error at once, and a
client's SYN that cannot be answered is dropped. No capture shows any of it but the SYNs
that come in.

IPv6 needs a second look. A host without an IPv6 route asks for one whenever a name has
an IPv6 address: resolvers and browsers connect a socket only to see whether it works.
So OutNoRoutes of IPv6 counts all day on a healthy host that has IPv4 only, and that of
IPv4 on one that has IPv6 only. Neither is a finding, unless clients came to whom no route
leads back: a host that is asked from beyond its own links had a way there. Likewise on a
host of a closed network, without a default route, that spoke with nobody beyond its own
links meanwhile: that is told as a note, unless the trigger was for it.`,
	Ref:      "net/ipv4/ip_output.c, __ip_queue_xmit, net/ipv4/inet_connection_sock.c, inet_csk_route_req, Linux 6.18; RFC 4293, ipSystemStatsOutNoRoutes",
	Explains: []string{"no.route", "no.route.ratio", "syn.retrans", "synack.retrans", "syn_recv", "rto", "forward.stalled", "forward.waiting"},
	Needs:    []*Need{needSNMP},
	run:      runNoRoute,
}

var needSNMP = needText("proc/net/snmp", "the recorder could not read it")

// runNoRoute looks at IPv4, and at IPv6 where there is a route of it.
func runNoRoute(c *Case) Answer {
	v4, any4 := c.burst(c.Lines.Get("snmp.Ip.OutNoRoutes"))
	v6, any6 := c.burst(c.Lines.Get("snmp6.Ip6OutNoRoutes"))
	unanswered := c.routeless()
	if any6 && !c.hasRoute("inet6") && !slices.ContainsFunc(unanswered, func(a netip.Addr) bool { return !a.Unmap().Is4() }) {
		any6 = false
	}
	if any4 && c.Evidence.Routes != nil && !c.hasRoute("inet") && !c.speaksIPv4() && len(unanswered) == 0 {
		return absent("OutNoRoutes of IPv4 moved, but this host has no IPv4 address beyond its own links, where asking for one is every resolver's habit")
	}
	switch {
	case !any4 && !any6 && v6.all > 0:
		return absent("OutNoRoutes of IPv4 did not move; that of IPv6 did, but this host has no IPv6 route beyond its own links, where asking for one is every resolver's habit")
	case !any4 && !any6:
		return absent("OutNoRoutes did not move")
	}
	b, family, series := v4, "IPv4", "snmp.Ip.OutNoRoutes"
	if !any4 {
		b, family, series = v6, "IPv6", "snmp6.Ip6OutNoRoutes"
	}
	f := &Finding{Severity: Warning, Object: family, effect: words.Plural(uint64(b.all), "packet", "packets") + " without a route"}
	f.during(b)
	f.count = b.all
	// What went on from end to end is not what happened: it is how this host is.
	if float64(b.span.End-b.span.Start) > 0.9*float64(c.Window.End-c.Window.Start) {
		f.Severity = Info
	}
	if family == "IPv4" && c.closed() && len(unanswered) == 0 {
		f.Severity = Info
	}
	f.Headline = fmt.Sprintf("This host had no %s route for %s that it was to send.", family, words.Plural(uint64(b.all), "packet", "packets"))
	f.Evidence = []Item{c.counterItem(series)}
	if refusing := c.refusingRoutes(); len(refusing) > 0 {
		f.Detail = fmt.Sprintf("The routing tables refuse %s on purpose.", words.List(refusing))
	} else if c.Evidence.Routes != nil && !c.hasRoute(map[string]string{"IPv4": "inet", "IPv6": "inet6"}[family]) {
		f.Detail = "At the end of the window there was no default route."
	}
	if len(unanswered) > 0 {
		f.Detail = strings.TrimSpace(f.Detail + fmt.Sprintf(" No route led to %s whose SYNs were not answered, such as %s.",
			words.Plural(len(unanswered), "client", "clients"), unanswered[0]))
	}
	for i := range c.Evidence.Routes {
		if r := &c.Evidence.Routes[i]; refusingType(r) {
			f.Evidence = append(f.Evidence, Item{Kind: "setting", Member: member.RoutesName, Where: "route " + r.To, Text: r.Type})
		}
	}
	f.Remedy = []Remedy{{What: "Ask the kernel for the route of an address that failed (ip route get ADDRESS), and compare with what the routing daemon or the DHCP client logged."}}
	return present(f)
}

// hasRoute says whether there is a default route of a family, inet or inet6; where the routes are not known it says
// yes, so that nothing is ruled out by what was not read.
func (c *Case) hasRoute(family string) bool {
	if c.Evidence.Routes == nil {
		return family == "inet"
	}
	return slices.ContainsFunc(c.Evidence.Routes, func(r member.Route) bool {
		return r.Family == family && r.To == "default" && !refusingType(&r)
	})
}

// closed says whether this host is of a network from which no route leads on, and nobody lies where none leads with whom it
// spoke. Programs that look for an address to take ask for a route all the same (connect(2) of a UDP socket, which counts
// and sends nothing: net/ipv4/datagram.c, __ip4_datagram_connect). It does not where the routes are not known, or the trigger was for that.
func (c *Case) closed() bool {
	if c.Evidence.Routes == nil || c.hasRoute("inet") || len(c.refusingRoutes()) > 0 || c.Evidence.Packets == nil || c.Evidence.Packets.Untimed() != nil {
		return false
	}
	if m := c.Evidence.Manifest; m != nil && strings.HasPrefix(m.Trigger.Vital, "no.route") {
		return false
	}
	return !slices.ContainsFunc(c.peers(), func(p *rtt.Peer) bool { return p.Addr.Unmap().Is4() && !c.routed(p.Addr) })
}

// speaksIPv4 says whether this host has an IPv4 address by which others beyond its links can reach it; where the addresses
// are not known it says yes.
func (c *Case) speaksIPv4() bool {
	for a := range c.Evidence.Own {
		if a.Is4() && !a.IsLoopback() && !a.IsLinkLocalUnicast() {
			return true
		}
	}
	return len(c.Evidence.Own) == 0
}

// routeless gives the clients whose SYNs were not answered and to whom no route of any table led when the tables were
// read, none where they were not.
func (c *Case) routeless() (clients []netip.Addr) {
	if len(c.Evidence.Routes) == 0 {
		return nil
	}
	found, _ := c.troubles(handshake.SYNUnanswered)
	for _, t := range found {
		for a := range t.Clients {
			if t.service.Way == handshake.Inbound && !c.routed(a) {
				clients = append(clients, a)
			}
		}
	}
	slices.SortFunc(clients, netip.Addr.Compare)
	return slices.Compact(clients)
}

// routed says whether a route of any table leads to an address: the longest prefix, of those in one table, decides
// (RFC 1812 section 5.2.4.3), and another table may have been asked.
func (c *Case) routed(a netip.Addr) bool {
	type best struct {
		bits    int
		refuses bool
	}
	family, tables := "inet6", map[uint64]best{}
	if a = a.Unmap(); a.Is4() {
		family = "inet"
	}
	for i := range c.Evidence.Routes {
		r := &c.Evidence.Routes[i]
		if r.Family != family {
			continue
		}
		p, err := netip.ParsePrefix(r.To)
		if r.To == "default" {
			p, err = netip.PrefixFrom(a, 0), nil
		}
		if b, known := tables[r.Table]; err == nil && p.Contains(a) && (!known || p.Bits() > b.bits) {
			tables[r.Table] = best{p.Bits(), refusingType(r)}
		}
	}
	for _, b := range tables {
		if !b.refuses {
			return true
		}
	}
	return false
}

// refusingType says whether a route says no.
func refusingType(r *member.Route) bool {
	return slices.Contains([]string{"blackhole", "unreachable", "prohibit", "throw"}, r.Type)
}

// refusingRoutes names the routes that say no, a few of them. The kernel's own "unreachable default" of
// an IPv6 table stands behind all others, and is none that anybody has made.
func (c *Case) refusingRoutes() (all []string) {
	const most = 3
	for i := range c.Evidence.Routes {
		r := &c.Evidence.Routes[i]
		if refusingType(r) && r.To != "default" && len(all) < most {
			all = append(all, fmt.Sprintf("%s (%s)", r.To, r.Type))
		}
	}
	return all
}
