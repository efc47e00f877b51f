package check

import (
	"fmt"
	"net/netip"
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
	Title: "This host could not connect",
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
		{Cause: &synRetransmit, On: subject.KindService, Slack: counterSlack,
			Because: "a program gives up when its SYNs stay without an answer"},
	},
	Explains: []string{"tcp.syn_sent", "connect.failed", "connect.failed.ratio"},
	run:      runConnect,
}

// unreachable names the ICMP errors of a SYN (RFC 792, RFC 1812, RFC 4443).
var unreachable = map[uint16]string{
	3 << 8: "network unreachable", 3<<8 | 1: "host unreachable", 3<<8 | 2: "protocol unreachable", 3<<8 | 3: "port unreachable",
	3<<8 | 9: "network prohibited", 3<<8 | 10: "host prohibited", 3<<8 | 13: "administratively prohibited", 11 << 8: "TTL exceeded",
	1 << 8: "no route", 1<<8 | 1: "administratively prohibited", 1<<8 | 3: "address unreachable", 1<<8 | 4: "port unreachable",
}

// runConnect gives a finding for each upstream that could not be reached.
func runConnect(c *Case) Answer {
	var findings []*Finding
	ignored := uint64(0)
	for _, h := range c.hits(flow.Server, traffic.Unreachable, traffic.Ignored) {
		if h.way != handshake.Outbound {
			continue
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
	if float64(h.Flows) >= manyFlows.Value && h.service.Begun == 0 {
		f.Severity = Critical
	}
	if f.Subjects != nil {
		f.Subjects = append(f.Subjects, subject.Peer{Addr: h.service.Server.Addr()})
	}
	who := "This host"
	if process := c.asker(h.service.Server); process != "" {
		who = words.Sentence(process)
	}
	f.effect = c.least(needPackets) + words.Plural(h.Flows, "connection attempt", "connection attempts") + " failed"
	why := fmt.Sprintf("nothing came back for up to %s", unit.Duration(time.Duration(h.Most)))
	look := fmt.Sprintf("Ask whether %s is alive and reachable from here, and capture there too.", h.service.Server)
	if h.kind == traffic.Unreachable {
		why = "an ICMP error came back"
		if e := h.Examples[0].ICMP; unreachable[e] != "" {
			why += fmt.Sprintf(" (type %d, code %d: %s)", e>>8, e&255, unreachable[e])
		}
		look = "The sender of the ICMP error is the router or firewall to ask (Wireshark: icmp.type == 3)."
		const neighbour = 3<<8 | 1
		if h.Examples[0].ICMP == neighbour {
			look += " If it is this host itself, the neighbour did not answer (ip neigh)."
		}
	}
	f.Headline = fmt.Sprintf("%s could not connect to %s: %s of %s failed, %s.", who, h.service.Server, c.least(needPackets)+unit.Count(h.Flows),
		words.Plural(h.service.Flows, "attempt", "attempts"), why)
	if c.Lines.Get(attemptFails) != nil {
		f.Evidence = append(f.Evidence, c.counterItem(attemptFails))
	}
	f.Remedy = []Remedy{{What: look}}
	return f
}
