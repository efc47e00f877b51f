package check

import (
	"fmt"
	"slices"
	"time"

	"github.com/spikebox/spikebox/analyzer/evidence"
	"github.com/spikebox/spikebox/analyzer/flow"
	"github.com/spikebox/spikebox/analyzer/handshake"
	"github.com/spikebox/spikebox/analyzer/internal/words"
	"github.com/spikebox/spikebox/analyzer/subject"
	"github.com/spikebox/spikebox/analyzer/timeline"
	"github.com/spikebox/spikebox/analyzer/traffic"
	"github.com/spikebox/spikebox/format/unit"
)

var (
	refusedRate = Limit{"rate", 1, "1/s",
		"of a port that has served others in the window: a client or two that were late ask less often"}
	unservedRate = Limit{"rate of what served nobody", 10, "1/s",
		"health checks of a server that is down: HAProxy asks once in 2 s, nginx and Kubernetes less often, and each of a dozen processes for itself"}
	unservedMany = Limit{"clients of what served nobody", 3, "addresses",
		"scanners and monitoring come from one address or two; what many ask for at this host is missing"}
	restartHold = Limit{"restart", 2, "s",
		"a program that is stopped and started anew without handing its socket over listens again within a second or two (listeners.gone waits 1.75 s by default)"}
)

var connectionRefused = Check{
	ID:    "connection-refused",
	Title: "Connections were refused",
	Doc:   "a SYN was answered with RST: nobody listens on that port, or a firewall rule rejects",
	Page: `A SYN to a port where nobody listens is answered with a RST, and the client learns at once
that nothing is there ("Connection refused"). A service that has crashed, is being
restarted without handing its socket over, or listens on another address looks like that.

Every host refuses now and then: scanners knock at closed ports, and health checks go on
asking a server that was taken out on purpose. So it counts by harm: it is critical where
the port had served others in the same window, and a warning where other servers on that
port went on. Where nobody was served in the whole window nothing has begun in it: it is a
warning only where more ask for it than health checks and scanners do. A service that was
gone for a second or two and is back was restarted, and is only worth knowing.

Packets of loopback, by which a proxy asks a server of the same host, are not recorded:
there the kernel's own resets from ports without a socket tell, since Linux 6.10.`,
	Ref:    "RFC 9293 section 3.10.7.1; net/ipv4/tcp_ipv4.c, tcp_v4_rcv (no_tcp_socket), Linux 6.18",
	Needs:  []*Need{needPackets},
	Limits: []Limit{manyFlows, manyShare, refusedRate, unservedRate, unservedMany, restartHold},
	// Each RST that this host sends counts in OutRsts, and each connect(2) that is refused in AttemptFails.
	Causes: []Link{
		{Cause: &duplicateAddress, On: subject.KindService, Slack: counterSlack, If: harmful,
			Because: "who is sent to the other machine that has the address is refused there, or not answered"},
	},
	Explains: []string{"forward.refused", "resets", "listeners.gone", "connect.failed", "connect.failed.ratio"},
	run:      runRefused,
}

// attemptFails counts connects that failed, refused ones among them, and half-open connections that were reset.
const attemptFails = "snmp.Tcp.AttemptFails"

// runRefused gives a finding for each service that refused.
func runRefused(c *Case) Answer {
	all, scans := c.hits(flow.Server, traffic.Refused), c.scans()
	all = slices.DeleteFunc(all, func(h hit) bool { return h.scanned(scans) })
	unseen := c.unseenRefusals()
	if len(all)+len(unseen) == 0 {
		a := absent("no SYN was answered with RST")
		if len(scans) > 0 {
			a = absent("no SYN was answered with RST, but those of a port scan")
		}
		return c.veto(a, manyFlows.Value, attemptFails)
	}
	var findings []*Finding
	for _, h := range all {
		findings = append(findings, c.refusedFinding(h))
	}
	for _, r := range unseen {
		findings = append(findings, c.unseenFinding(r))
	}
	return present(c.rest(worst(findings), "refused connections")...)
}

// refusedFinding says who refused whom, and since when nobody listens.
func (c *Case) refusedFinding(h hit) *Finding {
	const pause = 3 // s: a few clients a second leave seconds without any
	span, n := stretch(h.Seconds, pause)
	f := h.finding(c, span)
	served := h.service.Begun
	f.Evidence[0] = f.Evidence[0].partOf(float64(h.Flows + served))
	pace := perSecond(n, f.span())
	restart, restarted := c.restart(h.service)
	others := c.pool(h)
	if float64(n) >= manyFlows.Value && !restarted {
		f.Severity = c.refusedSeverity(&h, pace)
		if f.Severity == Critical && others > 0 {
			f.Severity = Warning
		}
	}
	f.effect = c.least(needPackets) + words.Plural(h.Flows, "connection refused", "connections refused")
	who := "nobody listens there, or a firewall rejects"
	switch h.way {
	case handshake.Outbound:
		who = "nobody listens there, or its firewall rejects"
	case handshake.Inbound:
		who = c.listens(h, f)
	}
	f.Headline = fmt.Sprintf("%s to %s were refused: %s.", words.Sentence(c.least(needPackets)+words.Of(h.Flows, h.Flows+served, adjective(h.way)+"connection attempt", adjective(h.way)+"connection attempts")),
		c.named(h.service), who)
	f.Evidence[0].say("%s, %s", rate(pace), whom(h.Clients))
	f.Detail = fmt.Sprintf("%s had asked, %s.", words.Sentence(whom(h.Clients)), rate(pace))
	if restarted {
		f.Detail += fmt.Sprintf(" It was gone for %s: that is what a restart looks like.", unit.Duration(time.Duration(restart.End-restart.Start)))
	}
	if served > 0 {
		f.Detail += fmt.Sprintf(" %s to it had been set up in the same window: somebody counts on it.", words.Sentence(words.Plural(served, "connection", "connections")))
	} else if f.Severity == Info {
		f.Detail += " Nothing was served there in the window: that is what scanners and health checks of a stopped server look like."
	}
	if others > 0 {
		f.Detail += fmt.Sprintf(" %s on port %d went on taking connections: of a pool with one server less nobody need lack anything.",
			words.Sentence(words.Plural(uint64(others), "other server", "other servers")), h.service.Server.Port())
	}
	if process := c.asker(h.service.Server); h.way == handshake.Outbound && process != "" {
		f.Detail += fmt.Sprintf(" Here %s asks for it.", process)
	}
	if f.Severity != Info {
		f.Remedy = []Remedy{{What: fmt.Sprintf("Start what should listen on %s, or take it out of whatever sends clients there; ss -ltnp and the service's log say why it is gone.", h.service.Server)}}
	}
	return f
}

// refusedSeverity grades by harm: who was served before lacks something, and so do many who ask.
func (c *Case) refusedSeverity(h *hit, pace float64) Severity {
	served := h.service.Begun
	share := float64(h.Flows) / float64(h.Flows+served)
	switch {
	case served > 0 && share >= manyShare.Value && pace >= refusedRate.Value:
		return Critical
	case served > 0:
		return Warning
	case pace >= unservedRate.Value && (h.way == handshake.Outbound || h.way == handshake.WayUnknown || float64(len(h.Clients)) >= unservedMany.Value || c.forwardFired()):
		return Warning
	}
	return Info
}

// pool counts the other servers on the port of one that this host, or whom it forwards for, was refused by, which took more
// connections than were refused there: a proxy that has a choice goes on with them.
func (c *Case) pool(h hit) (others int) {
	if h.way == handshake.Inbound || h.service.Begun == 0 {
		return 0
	}
	for _, v := range c.Evidence.Packets.Traffic {
		if v != h.service && v.Server.Port() == h.service.Server.Port() && c.way(v) == h.way &&
			v.Begun > h.Flows && v.Hits(traffic.Refused, flow.Server).Flows == 0 {
			others++
		}
	}
	return others
}

// restart says when a service of this host was gone, if that was for so short a time as a restart takes, and it is back.
func (c *Case) restart(v *traffic.Service) (gone timeline.Span, ok bool) {
	h := v.Hits(traffic.Refused, flow.Server)
	l := c.listenerAt(v)
	if h.Flows == 0 || v.Begun == 0 || c.way(v) != handshake.Inbound || l == nil || h.Last >= l.Time {
		return gone, false
	}
	gone = timeline.Span{Start: h.First, End: h.Last}
	return gone, float64(gone.End-gone.Start) < restartHold.Value*1e9
}

// listens says what became of this host's own listener.
func (c *Case) listens(h hit, f *Finding) string {
	l := c.listenerAt(h.service)
	switch {
	case !c.listed():
		return "nobody listened there, or a rule rejects"
	case l == nil:
		return "nobody listens there"
	}
	f.Evidence = append(f.Evidence, Item{Kind: "socket", Member: "sockets.jsonl", Where: fmt.Sprintf("line %d", l.Line), Text: "LISTEN " + bound(l).String()})
	if h.Last < l.Time {
		return fmt.Sprintf("nobody listened there until %s; %s does again", words.Clock(evidence.Unix(h.Last)), owner(l))
	}
	return fmt.Sprintf("though %s listens there, so a firewall rule rejects (or its listener came and went)", owner(l))
}

// adjective puts the way in front of a noun.
func adjective(w handshake.Way) string {
	if w == handshake.WayUnknown {
		return ""
	}
	return w.String() + " "
}
