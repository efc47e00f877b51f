package check

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/spikebox/spikebox/analyzer/flow"
	"github.com/spikebox/spikebox/analyzer/internal/words"
	"github.com/spikebox/spikebox/analyzer/subject"
	"github.com/spikebox/spikebox/analyzer/timeline"
	"github.com/spikebox/spikebox/analyzer/traffic"
)

var duplicateSpread = Limit{"spread", 1, "s",
	"who takes over a service address announces it some times at once, and who gives it up is quiet from then on"}

var duplicateAddress = Check{
	ID:    "duplicate-address",
	Title: "Two machines have one address",
	Doc:   "an IP address was claimed by two link addresses in turns (ARP), or the kernel found its own in use (IPv6)",
	Page: `Each who has the address is asked by some and not by others, as neighbours remember
whoever spoke last. Connections of one end at the other, which knows nothing of them and
resets, or drops: half of what is asked fails, and changes every some minutes.

For IPv4 the sender of each ARP packet says whose its address is. An address that moves
(VRRP, a takeover) changes once, and whoever had it is quiet from then on; here the one
that had it speaks on. For IPv6 the kernel asks before it uses an address (RFC 4862
section 5.4), logs that somebody has it, and does not use it: what is asked of it is not
answered.

A host with two interfaces on one network may answer by either (arp_ignore,
arp_announce), and nobody is hurt by that: of others' addresses it is a remark unless
connections to it failed.`,
	Ref:      "RFC 5227 section 2.4; RFC 4862 section 5.4.5; net/ipv4/arp.c, arp_process, net/ipv6/addrconf.c, addrconf_dad_failure, Linux 6.18",
	Needs:    []*Need{needPackets},
	Limits:   []Limit{duplicateSpread},
	Explains: []string{"address.conflicts", "established.resets", "established.resets.ratio", "syn.retrans", "rto", "connect.failed", "peers.stalled"},
	run:      runDuplicateAddress,
}

// runDuplicateAddress gives a finding for each address of which two speak.
func runDuplicateAddress(c *Case) Answer {
	findings := c.duplicatesLogged()
	all := c.Evidence.Packets.Claims
	for len(all) > 0 {
		n := 1
		for n < len(all) && all[n].Addr == all[0].Addr && all[n].Interface == all[0].Interface && all[n].Input == all[0].Input {
			n++
		}
		if f := c.duplicateOf(all[:n]); f != nil {
			findings = append(findings, f)
		}
		all = all[n:]
	}
	if len(findings) == 0 {
		return absent("no address was claimed by two link addresses in turns, and the kernel logged none in use")
	}
	return present(c.rest(worst(findings), "addresses that two have")...)
}

// duplicatesLogged are this host's own addresses of IPv6 that somebody else has. The log is the whole machine's.
func (c *Case) duplicatesLogged() (findings []*Finding) {
	for _, m := range c.logged("duplicate_address") {
		addr, err := netip.ParseAddr(m.Fields["address"])
		if err != nil || c.Lines.Get("if."+m.Fields["dev"]+".rx_packets") == nil || c.Evidence.OwnAt[addr] != m.Fields["dev"] || !c.Evidence.InUse[addr] {
			continue // another namespace's, where interfaces and addresses may be the same
		}
		by := ""
		if link := m.Fields["link"]; link != "" {
			by = " (" + link + ")"
		}
		f := &Finding{Severity: Critical, Object: addr.String(), effect: "an address that cannot be used"}
		f.at(messageSpan([]message{m}))
		f.End = c.end() // it is not used from then on
		f.Subjects = c.subjectsAt(addr)
		f.Headline = fmt.Sprintf("%s on %s is another machine's, too%s: the kernel found that out before it used it, and does not answer for it.", addr, m.Fields["dev"], by)
		f.Evidence = []Item{logItem(m.line)}
		f.Remedy = []Remedy{{What: fmt.Sprintf("Find the other machine%s and take the address off one of both; then set it anew here (ip -6 addr shows it as dadfailed).", by)}}
		findings = append(findings, f)
	}
	return findings
}

// end is the window's.
func (c *Case) end() time.Time { return time.Unix(0, c.Window.End).UTC() }

// subjectsAt are an address, and the services that were asked there.
func (c *Case) subjectsAt(a netip.Addr) []subject.Subject {
	all := []subject.Subject{subject.Peer{Addr: a}}
	for _, v := range c.traffic() {
		if v.Server.Addr() == a {
			all = append(all, subject.Service{Addr: v.Server})
		}
	}
	return all
}

// duplicateOf looks at the claims of one address on one interface.
func (c *Case) duplicateOf(claims []*traffic.Claim) *Finding {
	addr := claims[0].Addr
	at, known := c.Evidence.OwnAt[addr]
	own := known && at == c.interfaceName(claims[0].Interface) // a bare capture knows neither
	var others []*traffic.Claim
	for _, m := range claims {
		if !m.Out && !c.ownLink(m) {
			others = append(others, m)
		}
	}
	mine := slices.IndexFunc(claims, func(m *traffic.Claim) bool { return m.Out })
	switch {
	case own && len(others) > 0 && mine >= 0 && others[len(others)-1].Last > claims[mine].First:
		return c.duplicateFinding(addr, others[len(others)-1:], true)
	case own && mine < 0 && len(others) > 0 && float64(others[0].Last-others[0].First)/1e9 >= duplicateSpread.Value:
		return c.duplicateFinding(addr, others[:1], true)
	case own:
		return nil
	}
	for i, m := range others {
		for _, n := range others[i+1:] {
			if m.Last > n.First && n.Last > m.First { // the first spoke on
				return c.duplicateFinding(addr, []*traffic.Claim{m, n}, false)
			}
		}
	}
	return nil
}

// ownLink says whether a link address is one that this host sends by: what it hears of itself by another interface.
func (c *Case) ownLink(m *traffic.Claim) bool {
	return slices.ContainsFunc(c.Evidence.Packets.Claims, func(o *traffic.Claim) bool {
		return o.Out && o.Input == m.Input && slices.Equal(o.Link, m.Link)
	})
}

// interfaceName is that of an interface of the packets.
func (c *Case) interfaceName(i uint16) string {
	if all := c.Evidence.Packets.Interfaces; int(i) < len(all) {
		return all[i].Name
	}
	return ""
}

// duplicateFinding says who has the address.
func (c *Case) duplicateFinding(addr netip.Addr, by []*traffic.Claim, own bool) *Finding {
	f := &Finding{Severity: Critical, Object: addr.String(), effect: "two machines with one address", Subjects: c.subjectsAt(addr)}
	var span timeline.Span
	var links []string
	for _, m := range by {
		span = timeline.Span{Start: max(span.Start, m.First), End: max(span.End, m.Last)} // from when on both spoke
		links = append(links, m.Link.String())
		var frames []string
		for _, n := range m.Frames {
			frames = append(frames, fmt.Sprint(n))
		}
		f.Evidence = append(f.Evidence, Item{Kind: "packets", Member: c.inputMember(m.Input), Where: "frames " + strings.Join(frames, ","), Value: val(float64(m.N)), Unit: "1",
			Text: "ARP from " + m.Link.String(), Filter: fmt.Sprintf("arp.src.proto_ipv4 == %s && arp.src.hw_mac == %s", addr, m.Link)})
	}
	f.at(span)
	f.End = c.end() // neighbours remember it
	switch {
	case own:
		f.Headline = fmt.Sprintf("%s is this host's address, and %s said that it is its own, too.", addr, links[0])
		f.Detail = "Neighbours send to whoever spoke last: what is for this host ends at the other machine, and the other way round."
	case c.failedAt(addr):
		f.Headline = fmt.Sprintf("%s is claimed by two machines, %s, in turns, and connections to it failed.", addr, words.List(links))
		f.Detail = "Who asks it ends at one or the other, as whoever spoke last is remembered."
	default:
		f.Severity = Info
		f.Headline = fmt.Sprintf("%s is claimed by two link addresses, %s, in turns.", addr, words.List(links))
		f.Detail = "No connection to it failed: a host with two interfaces on one network does that (arp_ignore, arp_announce), as well as two machines."
	}
	f.Remedy = []Remedy{{What: fmt.Sprintf("Find the port of the switch that %s is at, and take the address off one of both machines.", words.List(links))}}
	return f
}

// failedAt says whether connections to an address failed in a way in which another machine's would.
func (c *Case) failedAt(a netip.Addr) bool {
	for _, h := range c.hits(flow.Server, traffic.Refused, traffic.Ignored, traffic.Vanished) {
		if h.service.Server.Addr() == a {
			return true
		}
	}
	return false
}
