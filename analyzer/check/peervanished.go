package check

import (
	"fmt"
	"net/netip"
	"slices"
	"time"

	"github.com/spikebox/spikebox/analyzer/flow"
	"github.com/spikebox/spikebox/analyzer/handshake"
	"github.com/spikebox/spikebox/analyzer/internal/words"
	"github.com/spikebox/spikebox/analyzer/rtt"
	"github.com/spikebox/spikebox/analyzer/subject"
	"github.com/spikebox/spikebox/analyzer/traffic"
	"github.com/spikebox/spikebox/format/unit"
)

var vanishedMany = Limit{"connections", 3, "connections",
	"a phone that leaves its cell or a laptop that is closed takes its one or two connections with it"}

var peerVanished = Check{
	ID:    "peer-vanished",
	Title: "A peer fell silent",
	Doc:   "one side of established connections said nothing more, while the other sent the same data again and again",
	Page: `A host that loses its power, is cut off, or whose address has moved says no goodbye: its
peers send, get no acknowledgement, and send again after longer and longer waits until
net.ipv4.tcp_retries2 is used up, some 15 minutes later. A firewall or NAT that has
forgotten a connection looks the same if it drops what it does not know.

A side counts as silent after three timeouts in a row, and three seconds or more without
any packet of it until the capture ended. One or two connections are a phone that left.

Clients that had been answered leave nothing to send again: when a path to this host dies,
or a balancer takes them elsewhere, it hears nothing, as at night. The recorder asks the
sockets then: many addresses that asked until a moment and are silent since, on
connections that nobody closed, were cut off.`,
	Ref:    "RFC 1122 section 4.2.3.5; RFC 5482; net/ipv4/tcp_timer.c, tcp_write_timeout, Linux 6.18",
	Needs:  []*Need{needPackets},
	Limits: []Limit{vanishedMany, hushedMany, quietLeast, quietMore},
	Causes: []Link{
		{Cause: &duplicateAddress, On: subject.KindService, Slack: counterSlack, If: harmful,
			Because: "who is sent to the other machine that has the address is refused there, or not answered"},
		{Cause: &lostBetween, On: subject.KindService, Slack: counterSlack,
			Because: "whose packets are dropped between two places is not heard there any more"},
		{Cause: &localDrop, On: subject.KindService, Slack: counterSlack, If: harmful,
			Because: "whose packets this host's own rules drop hears nothing, and is not heard"},
		{Cause: &noRoute, EffectVariant: silentHere, On: subject.KindHost, Slack: counterSlack, If: harmful,
			Because: "this host hears its peers, and has no route for what it would say"},
		{Cause: &linkFlap, On: subject.KindHost, Slack: counterSlack, If: onlyWay,
			Because: "nobody is heard by an interface without a link"},
		{Cause: &neighbourFailed, EffectVariant: silentHere, On: subject.KindHost, Slack: counterSlack, If: thrownAway,
			Because: "this host hears its peers, and what it says waits for a neighbour that does not answer"},
		{Cause: &nicDrop, On: subject.KindHost, Slack: counterSlack, If: wayOut,
			Because: "what an interface of this host does not carry is not answered"},
	},
	Explains: []string{"rto", "rto.ratio", "peers.stalled", "connections.stalled", "retrans.ratio", "retrans", "established.resets", "tcp.fin_wait1", "forward.stalled", "forward.retrans.ratio", "serve.silence", "clients.silent"},
	run:      runVanished,
}

// runVanished gives a finding for each service and side that fell silent.
func runVanished(c *Case) Answer {
	var findings []*Finding
	heard := uint64(0)
	for _, by := range []flow.Side{flow.Server, flow.Client} {
		for _, h := range c.hits(by, traffic.Vanished) {
			if c.stillHeard(h) {
				heard += h.Flows
				continue
			}
			findings = append(findings, c.vanishedFinding(h))
		}
	}
	if f := c.hushedFinding(); f != nil {
		findings = append(findings, f)
	}
	if len(findings) == 0 && heard > 0 {
		return absent("%s waited for longer and longer timers, but their peers were heard on others meanwhile, on which much was lost: it is the loss", words.Plural(heard, "connection", "connections"))
	}
	if len(findings) == 0 {
		return absent("no side fell silent while the other repeated its data")
	}
	return present(c.rest(worst(findings), "silent peers")...)
}

// stillHeard says whether all who fell silent were heard on other connections meanwhile, and the ways to them lose so much that
// some segments are lost four times in a row: a quarter at least of what was sent again their own acknowledgements asked for.
func (c *Case) stillHeard(h hit) bool {
	receivers := map[netip.Addr]uint64{h.service.Server.Addr(): h.Flows}
	if h.by == flow.Client {
		receivers = h.Clients
	}
	for a := range receivers {
		p := c.path(a)
		if p == nil {
			return false
		}
		l := &p.Ways[traffic.Toward]
		if float64(l.Again) < lossCritical.Value*float64(l.Segments) || 4*l.Fast < l.Again || !c.heardWithin(a, h.First+vanishedQuiet, h.Last) {
			return false
		}
	}
	return true
}

// vanishedQuiet is how long what a peer sent before it fell silent may still be on its way, in ns.
const vanishedQuiet = int64(1e9)

// heardWithin says whether a peer acknowledged something within a time, or may have, as not all of that was kept.
func (c *Case) heardWithin(a netip.Addr, from, to int64) bool {
	for _, p := range c.peers() {
		if p.Addr == a && slices.ContainsFunc(p.Bins, func(b rtt.Bin) bool { return b.Second*1e9 >= from && b.Second*1e9 <= to }) {
			return true
		}
	}
	return c.Evidence.Packets.Untimed() != nil
}

// vanishedFinding says who fell silent, since when, and who still is there.
func (c *Case) vanishedFinding(h hit) *Finding {
	span, _ := stretch(h.Seconds, 5)
	f := h.finding(c, span)
	f.End = f.Start.Add(time.Duration(h.Most))
	f.onset.late = 0 // it begins with what was heard last, and nobody knows when silence became a fault
	who := h.service.Server.String()
	if h.by == flow.Client {
		who = whom(h.Clients)
		for a := range h.Clients {
			f.Subjects = append(f.Subjects, subject.Peer{Addr: a})
		}
		sortPeers(f.Subjects[min(1, len(f.Subjects)):])
	} else {
		f.Subjects = append(f.Subjects, subject.Peer{Addr: h.service.Server.Addr()})
	}
	if float64(h.Flows) >= vanishedMany.Value {
		f.Severity = Warning
		if h.by == flow.Server {
			f.Severity = Critical // all who depend on it wait
		}
	}
	own := h.by == flow.Server && h.way == handshake.Inbound || h.by == flow.Client && h.way == handshake.Outbound
	f.effect = words.Plural(h.Flows, "connection", "connections") + " to a silent peer"
	f.Headline = fmt.Sprintf("%s said nothing more in %s%s for up to %s, while %s sent its data again and again.", words.Sentence(who),
		c.least(needPackets), words.Plural(h.Flows, "connection", "connections")+c.ofService(h), unit.Duration(time.Duration(h.Most)), c.side(h.service, h.by.Other()))
	look := "Ask whether the peer is alive (power, a crash, an address that moved), and whether a firewall or NAT between has forgotten the connections. " +
		"Keep-alives and TCP_USER_TIMEOUT let programs notice sooner; they cost a packet now and then."
	if h.by == flow.Server && h.way != handshake.Outbound {
		for a := range h.Clients { // they are peers, too, and send again what is left without an answer
			f.Subjects = append(f.Subjects, subject.Peer{Addr: a})
		}
		sortPeers(f.Subjects[min(2, len(f.Subjects)):])
	}
	if own {
		f.Variant = silentHere
		f.Detail = "The data arrived at this host's tap, and its kernel said nothing: it was dropped behind the tap."
		look = "Look for what drops behind the tap: packet filter rules, connection tracking, rp_filter."
	}
	f.Remedy = []Remedy{{What: look}}
	return f
}

// silentHere is the variant in which it is this host that said nothing more.
const silentHere Variant = "silent-here"

// ofService says of which service the connections are, where its name is not the culprit's.
func (c *Case) ofService(h hit) string {
	if h.by == flow.Server {
		return ""
	}
	return " of " + c.named(h.service)
}
