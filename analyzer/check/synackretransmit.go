package check

import (
	"fmt"

	"github.com/spikebox/spikebox/analyzer/flow"
	"github.com/spikebox/spikebox/analyzer/handshake"
	"github.com/spikebox/spikebox/analyzer/internal/words"
	"github.com/spikebox/spikebox/analyzer/subject"
	"github.com/spikebox/spikebox/analyzer/traffic"
)

var synackRetransmit = Check{
	ID:    "synack-retransmit",
	Title: "SYN-ACKs were sent again",
	Doc:   "half-open connections waited for an ACK that was dropped here, lost on its way, or never sent",
	Page: `A server repeats its SYN-ACK after 1, 3, 7, 15 and 31 seconds while it has not taken
the client's ACK; the connection stays in SYN_RECV that long. Four things look alike in
the count of SYN_RECV and are told apart by the packets:

The ACK was captured here, and the SYN-ACK is repeated all the same: this host dropped
the ACK behind the tap. Either a firewall rule or connection tracking did, or the
listener's accept queue was full. (With net.ipv4.tcp_abort_on_overflow at 0, an ACK that
finds the accept queue full is ignored, and the SYN-ACK timer goes on.)

An ACK came late, and its timestamp answers a SYN-ACK that had been repeated by then:
nothing was lost, and a long queue between the tap and the client held one of them back.

No ACK came, and the client repeated its SYN or answered a later SYN-ACK: it is there, and
the way to it loses packets or is broken.

No ACK came, and nothing else: the client is gone, or its address was forged. Many of
them, each from an address of its own, are a SYN flood. With SYN cookies nothing is
repeated, as the server keeps no state.`,
	Ref:    "net/ipv4/inet_connection_sock.c, reqsk_timer_handler, and net/ipv4/tcp_minisocks.c, tcp_check_req, Linux 6.18",
	Needs:  []*Need{needPackets},
	Limits: []Limit{manyFlows, manyShare, chanceShare},
	Causes: []Link{
		{Cause: &listenOverflow, On: subject.KindListener, Slack: counterSlack,
			Because: "an ACK that finds the accept queue full is dropped, and the SYN-ACK is repeated"},
		{Cause: &deferredAccept, On: subject.KindService, Slack: counterSlack,
			Because: "a listener that waits for data takes no bare ACK, and its SYN-ACK is repeated"},
		{Cause: &rttSpike, CauseVariant: insideHost, EffectVariant: answerLate, On: subject.KindHost, Slack: counterSlack,
			Because: "a SYN-ACK that waits inside this host for a second is repeated before it has left"},
		{Cause: &rttSpike, EffectVariant: answerHeld, On: subject.KindHost, Slack: counterSlack, If: metBy,
			Because: "a SYN-ACK that is on its way for longer than a second is repeated before its ACK can have come"},
		{Cause: &qdiscDrop, CauseVariant: behindTap, EffectVariant: answerLost, On: subject.KindHost, Slack: counterSlack, If: lostHere,
			Because: "a SYN-ACK that this host's own queue drops, behind the tap, never reaches the client"},
		{Cause: &lostBetween, EffectVariant: answerLost, On: subject.KindService, Slack: counterSlack,
			Because: "a SYN-ACK that is lost between the two places, or its ACK, is repeated"},
		{Cause: &localDrop, On: subject.KindService, Slack: counterSlack,
			Because: "the drops that the kernel told have the addresses of these connections"},
		{Cause: &softnetDrop, EffectVariant: answerLost, On: subject.KindHost, Slack: counterSlack, If: lostHere,
			Because: "the ACKs that the full backlog drops never reach the tap, nor the listener"},
		{Cause: &softnetDrop, EffectVariant: answerSilent, On: subject.KindHost, Slack: counterSlack, If: lostHere,
			Because: "of clients whose ACK the full backlog drops nothing else is seen until they repeat something"},
		{Cause: &synFlood, EffectVariant: answerSilent, On: subject.KindService, Slack: counterSlack,
			Because: "whose address was forged answers no SYN-ACK, and the server repeats it"},
		{Cause: &retransmissionBurst, EffectVariant: answerLost, On: subject.KindHost, Slack: counterSlack, If: harmfulThere,
			Because: "what loses segments loses SYN-ACKs, too"},
		{Cause: &lossRatio, EffectVariant: answerLost, On: subject.KindHost, Slack: counterSlack, If: harmfulThere,
			Because: "what loses segments loses SYN-ACKs, too"},
	},
	Explains: []string{"syn_recv", "synack.retrans", "syn.retrans", "syn.retrans.ratio", "peers.stalled", "rto", "retrans", "retrans.ratio"}, // the kernel counts them among all of these
	run:      runSYNACK,
}

// runSYNACK gives a finding for each service and each of the reasons.
func runSYNACK(c *Case) Answer {
	return c.byService("SYN-ACK", "half-open connection", "half-open connections", c.synackFinding,
		handshake.SYNACKAnswered, handshake.SYNACKLost, handshake.SYNACKSilent, handshake.SYNACKLate, handshake.SYNACKHeld)
}

// synackFinding says who dropped what, with the counters that tell a full queue from a
// packet filter, and how far SYN_RECV rose.
func (c *Case) synackFinding(t trouble) *Finding {
	f := c.finding(t)
	place := c.synackPlace(t)
	if c.defers(t) {
		f.Severity = Info
	}
	f.effect = c.least(needPackets) + words.Plural(t.Flows, "connection stayed half-open", "connections stayed half-open")
	f.Headline = fmt.Sprintf("The SYN-ACK of %s was sent again: %s.", c.attempts(t), place.short)
	f.Detail = fmt.Sprintf("%s The SYN-ACKs were %s, to %s.", place.sentence, t.schedule(t.best(timed)), t.whom())
	f.Evidence = append(f.Evidence, c.packetsItem(t, synacks).partOf(float64(t.service.Attempts)))
	if c.Lines.Get(overflows) != nil && t.kind == handshake.SYNACKAnswered && t.service.Way == handshake.Inbound {
		f.Evidence = append(f.Evidence, c.counterItem(overflows))
	}
	if item, ok := c.largestItem("syn_recv", "1", c.Window); ok {
		f.Evidence = append(f.Evidence, item)
	}
	if place.look != "" {
		f.Remedy = []Remedy{{What: place.look}}
	}
	return f
}

// defers says that the ACKs were not dropped: the server defers its accept.
func (c *Case) defers(t trouble) bool {
	if t.kind != handshake.SYNACKAnswered || c.sum(overflows) > 0 {
		return false
	}
	for _, h := range c.hits(flow.Server, traffic.Deferred) {
		if h.service.Server == t.service.Server {
			return h.Flows >= t.Flows
		}
	}
	return c.putOff(t)
}

// putOff says whether the kernel counts as many ACKs that it put off until data comes as a service's connections had to
// repeat the SYN-ACK. Where the client's ACK came within the same millisecond as its SYN, as on a LAN, the timestamps do
// not tell which of them the SYN-ACK echoes. The counter is the host's, and another service may be the one that defers: a
// client that has sent its data was not put off.
func (c *Case) putOff(t trouble) bool {
	return t.service.Way == handshake.Inbound && 2*t.Fed < t.Flows && c.sum(deferDrops) >= float64(t.Flows)
}

// synackPlace says who dropped what.
func (c *Case) synackPlace(t trouble) where {
	if t.kind == handshake.SYNACKHeld || t.underway() {
		return t.heldPlace(c)
	}
	switch t.kind {
	case handshake.SYNACKAnswered:
		if c.defers(t) {
			return where{"the server waits for data before it takes the connection",
				"The server's TCP has seen the client's ACK, as timestamps or the kernel's count of ACKs that it put off tell, and no accept queue overflowed.", ""}
		}
		return c.ackDropped(t)
	case handshake.SYNACKLate:
		return t.bunchedPlace(c)
	case handshake.SYNACKLost:
		return where{"the client did not get it",
			"No ACK came back, but the client repeated its SYN or answered a later SYN-ACK: it is there, and the way between here and there loses packets.",
			"Follow the way from here to the client and back: routes, firewalls, asymmetric paths, loss."}
	}
	return where{"the client said nothing more",
		"No ACK came back, nor anything else: the client is gone, was never there (a forged address), or its ACK was lost before the tap.",
		"Compare the clients' addresses and their number: many with one SYN each are a flood; one network is a broken path."}
}

// bunchedPlace is synackPlace for copies that were held back together.
func (t trouble) bunchedPlace(c *Case) where {
	if t.service.Way == handshake.Inbound {
		return where{"it had waited inside this host",
			"No ACK was dropped: the copies left this host together, as the timer ran out while the first still waited.", insideLook(c.beforeQueues())}
	}
	return where{"it had been held back on its way",
		"No ACK was dropped: the copies came together, as the timer ran out while the first was still on its way.",
		"Look for a long queue on the way, and at the server itself."}
}

// ackDropped tells a full accept queue from a packet filter, where the counters allow it.
func (c *Case) ackDropped(t trouble) where {
	const arrived = "Each client's ACK had arrived here before the SYN-ACK was repeated, and this host dropped it behind the tap: "
	switch t.service.Way {
	case handshake.Outbound:
		return where{"the server did not take this host's ACK",
			"The ACK had left through the tap: it was lost on its way, or the server dropped it because its accept queue is full.",
			"Ask the server for its ListenOverflows, and capture there too."}
	case handshake.WayUnknown, handshake.Forwarded:
		return where{"the client's ACK was dropped",
			"The client's ACK had been captured, and behind the tap it was dropped: by the server's host (a packet filter or a full accept queue), or on its way if the capture was taken elsewhere.",
			"Look at the server's ListenOverflows and at its packet filter; capture on the server."}
	}
	short := "this host dropped the client's ACK"
	if c.Lines.Get(overflows) == nil {
		return where{short, arrived + "a packet filter rule, connection tracking or a full accept queue.",
			"Look at the packet filter's counters and at ListenOverflows."}
	}
	// The counter is the host's, and SYNs count in it as well as ACKs (tcp_conn_request and
	// tcp_v4_syn_recv_sock, Linux 6.18): it is said beside the finding, not as its cause.
	if c.sum(overflows) > 0 {
		return where{short, arrived + "accept queues overflowed at that time.", "See listen-overflow."}
	}
	return where{short, arrived + "a packet filter rule or connection tracking, as no accept queue overflowed (ListenOverflows +0).",
		"Look for the rule that drops ACKs to this port: nft list ruleset, iptables -nvL, conntrack -S (invalid)."}
}
