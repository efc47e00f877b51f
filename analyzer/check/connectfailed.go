package check

import (
	"fmt"
	"net/netip"
	"slices"
	"time"

	"github.com/spikebox/spikebox/analyzer/flow"
	"github.com/spikebox/spikebox/analyzer/handshake"
	"github.com/spikebox/spikebox/analyzer/internal/words"
	"github.com/spikebox/spikebox/analyzer/subject"
	"github.com/spikebox/spikebox/analyzer/traffic"
	"github.com/spikebox/spikebox/format/member"
	"github.com/spikebox/spikebox/format/unit"
)

var connectFailed = Check{
	ID:    "connect-failed",
	Title: "Connections could not be opened",
	Doc:   "connections that this host opens ended before they were set up: an ICMP error came, or nothing at all until the program gave up",
	Page: `A proxy whose upstream cannot be reached serves errors. Its SYNs are answered with an
ICMP error, by a router that has no way to the host ("host unreachable") or a firewall
that rejects ("administratively prohibited"), and connect(2) fails at once or after the
timeout; or nothing comes back, and the program gives up after its own timeout. Refused
connections are told by connection-refused.

An ICMP error is told at its first occurrence. Silence is, where the kernel counted
attempts that failed (AttemptFails): before that the program still waits, and
syn-retransmit tells of it.`,
	Ref:    "RFC 1122 section 4.2.3.9; net/ipv4/tcp_ipv4.c, tcp_v4_err, Linux 6.18; connect(2)",
	Needs:  []*Need{needPackets, needOwn},
	Limits: []Limit{manyFlows},
	Causes: []Link{
		{Cause: &synRetransmit, On: subject.KindService, Slack: counterSlack, If: harmful,
			Because: "a program gives up when its SYNs stay without an answer"},
	},
	Explains: []string{"tcp.syn_sent", "connect.failed", "connect.failed.ratio"},
	run:      runConnect,
}

// unreachable names the ICMP errors of a SYN, by type and code (RFC 792, RFC 1812).
var unreachable = map[uint16]string{
	3 << 8: "network unreachable", 3<<8 | 1: "host unreachable", 3<<8 | 2: "protocol unreachable", 3<<8 | 3: "port unreachable",
	3<<8 | 9: "network prohibited", 3<<8 | 10: "host prohibited", 3<<8 | 13: "administratively prohibited", expired: "TTL exceeded",
}

// unreachable6 names those of IPv6 (RFC 4443).
var unreachable6 = map[uint16]string{
	1 << 8: "no route", 1<<8 | 1: "administratively prohibited", 1<<8 | 3: "address unreachable", 1<<8 | 4: "port unreachable",
	1<<8 | 5: "source address refused by policy", 1<<8 | 6: "reject route", expired6: "hop limit exceeded",
}

// What a router says whose turn it was when a packet had been passed on too often, and which of a neighbour that does not answer.
const (
	expired, expired6      = 11 << 8, 3 << 8
	neighbour4, neighbour6 = 3<<8 | 1, 1<<8 | 3
)

// runConnect gives a finding for each upstream that could not be reached.
func runConnect(c *Case) Answer {
	var findings []*Finding
	ignored, scans := uint64(0), c.scans()
	for _, h := range c.hits(flow.Server, traffic.Unreachable, traffic.Ignored) {
		if h.way == handshake.Inbound || h.way != handshake.Outbound && h.kind == traffic.Ignored {
			continue // of others' SYNs that nothing answered syn-retransmit tells
		}
		if h.scanned(scans) {
			continue // what passes through a router finds addresses at which nobody is
		}
		if h.kind == traffic.Ignored {
			ignored += h.Flows
			// The counter is the host's, and half-open connections that are reset count in it, too: a scan's, for one.
			if float64(h.Flows) < manyFlows.Value || c.sum(attemptFails) < manyFlows.Value || c.connecting(h.service.Server) >= h.Flows {
				continue
			}
		}
		findings = append(findings, c.connectFinding(h))
	}
	switch {
	case len(findings) > 0:
		return present(c.rest(worst(findings), "failed connection attempts")...)
	case ignored > 0:
		return absent("%s of this host still waited for an answer; none had failed", words.Plural(ignored, "connection attempt", "connection attempts"))
	}
	return absent("every connection attempt of this host was answered")
}

// connecting counts the sockets that still waited for a server's answer at the end.
func (c *Case) connecting(server netip.AddrPort) (n uint64) {
	for i := range c.Evidence.Sockets {
		s := &c.Evidence.Sockets[i]
		if s.At == member.AtEnd && s.State == "SYN_SENT" && s.RemotePort == server.Port() && s.Remote.Unmap() == server.Addr().Unmap() {
			n++
		}
	}
	return n
}

// connectFinding says whom it could not reach, and by whose word.
func (c *Case) connectFinding(h hit) *Finding {
	span, _ := stretch(h.Seconds, 5)
	f := h.finding(c, span)
	f.Severity = Warning
	f.Evidence[0] = f.Evidence[0].partOf(float64(h.service.Flows))
	if float64(h.Flows) >= manyFlows.Value && float64(h.Flows) >= manyShare.Value*float64(h.service.Flows) {
		f.Severity = Critical
	}
	if f.Subjects != nil {
		f.Subjects = append(f.Subjects, subject.Peer{Addr: h.service.Server.Addr()})
	}
	f.effect = c.least(needPackets) + words.Plural(h.Flows, "connection attempt", "connection attempts") + " failed"
	why := fmt.Sprintf("nothing came back for up to %s", unit.Duration(time.Duration(h.Most)))
	look := fmt.Sprintf("Ask whether %s is alive and reachable from here, and capture there too.", h.service.Server)
	if h.kind == traffic.Ignored {
		f.Evidence[0].say("%s", why)
	}
	if h.kind == traffic.Unreachable {
		why, look = refusal(h.service.Server.Addr(), h.Examples, c.local)
	}
	f.Headline = fmt.Sprintf("%s could not connect to %s: %s of %s failed, %s.", c.refusedTo(h), h.service.Server, c.least(needPackets)+unit.Count(h.Flows),
		words.Plural(h.service.Flows, "attempt", "attempts"), why)
	if c.Lines.Get(attemptFails) != nil {
		f.Evidence = append(f.Evidence, c.counterItem(attemptFails))
	}
	f.Remedy = []Remedy{{What: look}}
	return f
}

// refusedTo names who could not connect.
func (c *Case) refusedTo(h hit) string {
	if h.way != handshake.Outbound {
		return words.Sentence(whom(h.Clients))
	}
	if process := c.asker(h.service.Server); process != "" {
		return words.Sentence(process)
	}
	return "This host"
}

// refusal says which ICMP error came back, from whom, and whom to ask. The addresses of this host are local.
func refusal(server netip.Addr, examples []traffic.Example, local func(netip.Addr) bool) (why, look string) {
	why, filter, names := "an ICMP error came back", "icmp.type", unreachable
	if server.Is6() && !server.Is4In6() {
		filter, names = "icmpv6.type", unreachable6
	}
	if len(examples) == 0 {
		return why, "The sender of the ICMP error is the router or firewall to ask."
	}
	e, from := examples[0].ICMP, examples[0].ICMPFrom
	who := "the sender of the ICMP error"
	if from.IsValid() {
		why += " from " + words.List(senders(examples))
		who = from.String()
	}
	if names[e] != "" {
		why += fmt.Sprintf(" (type %d, code %d: %s)", e>>8, e&255, names[e])
	}
	shown := fmt.Sprintf("(Wireshark: %s == %d)", filter, e>>8)
	v6 := filter == "icmpv6.type"
	switch {
	case !v6 && e == expired, v6 && e == expired6:
		why += ": routers passed the SYNs on until their TTL was used up"
		return why, fmt.Sprintf("Two routers send these packets to each other: a routing loop, one of the two has a wrong route. Their addresses alternate in traceroute %s; %s is one of them %s.", server, who, shown)
	case from.IsValid() && local(from):
		look = fmt.Sprintf("This host sent the ICMP error itself %s: its own routes or packet filter.", shown)
		if !v6 && e == neighbour4 || v6 && e == neighbour6 {
			look = fmt.Sprintf("This host sent the ICMP error itself %s: the neighbour did not answer for its address (ip neigh).", shown)
		}
	case from == server:
		// iptables' REJECT and nft's reject send it from the address that was asked.
		look = fmt.Sprintf("%s itself sent the ICMP error, or what answers in its name: its own packet filter is to be looked at %s.", from, shown)
	case from.IsValid():
		look = fmt.Sprintf("%s sent the ICMP error %s: it is the router or firewall to ask.", who, shown)
	default:
		look = fmt.Sprintf("The sender of the ICMP error is the router or firewall to ask %s.", shown)
	}
	return why, look
}

// senders are those of some examples' ICMP errors, each once.
func senders(examples []traffic.Example) (all []string) {
	for i := range examples {
		if from := examples[i].ICMPFrom; from.IsValid() && !slices.Contains(all, from.String()) {
			all = append(all, from.String())
		}
	}
	return all
}
