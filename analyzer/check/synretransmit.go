package check

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/spikebox/spikebox/analyzer/flow"
	"github.com/spikebox/spikebox/analyzer/handshake"
	"github.com/spikebox/spikebox/analyzer/internal/words"
	"github.com/spikebox/spikebox/analyzer/subject"
	"github.com/spikebox/spikebox/analyzer/traffic"
	"github.com/spikebox/spikebox/format"
	"github.com/spikebox/spikebox/format/member"
	"github.com/spikebox/spikebox/format/unit"
)

var synRetransmit = Check{
	ID:    "syn-retransmit",
	Title: "SYNs were sent again",
	Doc:   "clients waited a second or more to connect because their SYN was not answered, or the answer never reached them",
	Page: `A client that gets no answer to its SYN sends it again: after 1, 3, 7, 15, 31 and 63
seconds, or since Linux 6.5 after 1, 2, 3, 4, 5, 7, 11, 19, 35 and 67. Response times of
1, 3 or 7 seconds are the mark of it. A SYN repeated half a second after a RST is another
thing (Windows retries a refused connection) and not counted here.

What the tap saw around the repetition says where the loss is. A SYN that was captured
here on its way in and not answered was dropped by this host, behind the tap: a full
listen queue, connection tracking, a firewall rule. A SYN that left this host and was not
answered was lost further on, or the other side dropped it. A SYN repeated although its
SYN-ACK was captured means that the answer was lost behind the tap on its way to the
client. A SYN-ACK whose timestamp answers a SYN that has been repeated since was late: it
waited in a queue, and nothing was lost.`,
	Ref:    "RFC 6298 section 2; RFC 7323 section 4; net/ipv4/tcp_timer.c, tcp_retransmit_timer, Linux 6.18",
	Needs:  []*Need{needPackets},
	Limits: []Limit{manyFlows, manyShare, chanceShare},
	Causes: []Link{
		{Cause: &duplicateAddress, On: subject.KindService, Slack: counterSlack, If: harmful,
			Because: "who is sent to the other machine that has the address is refused there, or not answered"},
		{Cause: &listenOverflow, On: subject.KindListener, Slack: counterSlack,
			Because: "a SYN that finds the accept queue full is dropped, and the client repeats it"},
		{Cause: &rttSpike, CauseVariant: insideHost, EffectVariant: answerLate, On: subject.KindHost, Slack: counterSlack,
			Because: "a SYN-ACK that waits inside this host for a second comes after the client has repeated its SYN"},
		{Cause: &synackRetransmit, CauseVariant: answerLost, EffectVariant: answerLost, On: subject.KindService, Slack: counterSlack,
			Because: "a client that never sees the SYN-ACK repeats its SYN"},
		{Cause: &synackRetransmit, CauseVariant: answerHeld, EffectVariant: answerHeld, On: subject.KindService, Slack: counterSlack,
			Because: "a client to whom the SYN-ACK comes late has repeated its SYN by then"},
		{Cause: &rttSpike, EffectVariant: answerHeld, On: subject.KindHost, Slack: counterSlack, If: metBy,
			Because: "where a round trip takes longer than a second the SYN is repeated before its answer can have come"},
		{Cause: &lostBetween, On: subject.KindService, Slack: counterSlack,
			Because: "a SYN that is lost between the two places, or its answer, is repeated"},
		{Cause: &localDrop, On: subject.KindService, Slack: counterSlack,
			Because: "the drops that the kernel told have the addresses of these connections"},
		{Cause: &qdiscDrop, EffectVariant: unanswered, On: subject.KindHost, Slack: counterSlack, If: lostHere,
			Because: "a SYN-ACK that this host's own queue drops is never seen by the tap, nor by the client"},
		{Cause: &noRoute, EffectVariant: unanswered, On: subject.KindHost, Slack: counterSlack, If: lostEach,
			Because: "a SYN whose sender no route leads to cannot be answered, and is dropped"},
		{Cause: &kernelDrop, EffectVariant: unanswered, On: subject.KindHost, Slack: counterSlack, If: behindTheTap,
			Because: "a SYN that the kernel drops behind the tap is not answered"},
		{Cause: &conntrackFull, EffectVariant: unanswered, On: subject.KindHost, Slack: counterSlack, If: lostHere,
			Because: "a SYN that finds no room in connection tracking is dropped behind the tap, before TCP sees it"},
		{Cause: &neighbourFailed, EffectVariant: unanswered, On: subject.KindHost, Slack: counterSlack, If: thrownAway,
			Because: "what waits for a neighbour that does not answer never leaves: a SYN that is passed on, or the answer to one"},
		{Cause: &slowUpstream, EffectVariant: unanswered, On: subject.KindService, Slack: counterSlack, If: fallsBehind,
			Because: "an upstream that accepts more slowly than connections come drops SYNs when its accept queue is full"},
		{Cause: &linkFlap, EffectVariant: unanswered, On: subject.KindHost, If: onlyWayOut,
			Because: "what this host sends while its interface has no link is lost"},
		{Cause: &retransmissionBurst, EffectVariant: answerLost, On: subject.KindHost, Slack: counterSlack, If: harmfulThere,
			Because: "what loses segments loses SYN-ACKs, too"},
		{Cause: &lossRatio, EffectVariant: answerLost, On: subject.KindHost, Slack: counterSlack, If: harmfulThere,
			Because: "what loses segments loses SYN-ACKs, too"},
		{Cause: &retransmissionBurst, EffectVariant: unanswered, On: subject.KindHost, Slack: counterSlack, If: lostOnTheWay,
			Because: "what loses segments loses SYNs, too"},
		{Cause: &lossRatio, EffectVariant: unanswered, On: subject.KindHost, Slack: counterSlack, If: lostOnTheWay,
			Because: "what loses segments loses SYNs, too"},
	},
	// Of this host's own SYNs; those of its clients move no counter here.
	Explains: []string{"forward.waiting", "syn.retrans", "syn.retrans.ratio", "tcp.syn_sent", "rto", "rto.ratio", "retrans", "retrans.ratio", "connect.p99", "connect.max", "serve.silence", "clients.silent"},
	run:      runSYN,
}

// runSYN gives a finding for each service whose clients repeated their SYNs.
func runSYN(c *Case) Answer {
	return c.byService("SYN", "repeated connection attempt", "repeated connection attempts", c.synFinding,
		handshake.SYNUnanswered, handshake.SYNAnswered, handshake.SYNLate, handshake.SYNHeld, handshake.SYNUnseen)
}

// synFinding says who waited and where the SYN or its answer was lost. A port without a
// listener is a remark only: scanners knock at every host all day.
func (c *Case) synFinding(t trouble) *Finding {
	f := c.finding(t)
	place := c.synPlace(t)
	if said, ok := c.said(t); ok {
		if place.short == notForwarded { // then this host knows why
			said.sentence, said.look = place.sentence+" "+said.sentence, place.look
		}
		place = said
	}
	if t.service.Way == handshake.Inbound && t.kind == handshake.SYNUnanswered && c.filtered(t) {
		place = where{"nothing listens there", "Nothing listens on this port and no RST was sent: a firewall rule drops them silently.", ""}
		if !c.translates() || float64(len(t.Clients)) < unservedMany.Value { // scanners ask one port after the other
			f.Severity = Info
		}
		if c.translates() {
			place = where{"nothing listens there, and nothing answered",
				"Nothing of this host listens on this port and no RST was sent: a firewall rule drops them silently, or they are given to a container or another server (DNAT), which does not answer.",
				"Look whether a rule translates this port (nft list ruleset, iptables -t nat -L), and then at whom it leads to."}
		}
	}
	if c.passingScan(t) {
		f.Severity = Info
		place.sentence += " It answered nobody in the window, and hardly anybody asks: that is what scanners do all day."
	}
	if t.service.Way == handshake.Inbound && t.kind == handshake.SYNUnanswered && t.service.Troubles[handshake.SYNLate].Flows > 0 {
		f.Variant = answerLate // as synPlace says
	}
	offsets := t.best(syns)
	f.effect = c.least(needPackets) + words.Plural(t.Flows, "connection attempt repeated its SYN", "connection attempts repeated their SYNs") + " after " + words.Seconds(offsets)
	f.Headline = fmt.Sprintf("%s had to repeat the SYN: %s.", words.Sentence(c.attempts(t)), place.short)
	f.Detail = fmt.Sprintf("%s The SYNs were %s, %s.", place.sentence, t.schedule(offsets), "from "+t.whom())
	if n, parted := c.parted(t); parted {
		f.Detail += fmt.Sprintf(" It is the connection that decides, and no chance: %s were never answered, however often the SYN was repeated, while others were at once.",
			words.Plural(n, "attempt", "attempts"))
		f.Remedy = []Remedy{{What: fmt.Sprintf("Where ports decide which way a connection takes, one of several is dead: a next hop of a multipath route (ip route), a link of a bond (LACP), one of several servers behind %s. Compare the ports of those that fail (spikebox flows --sort syn).", t.service.Server)}}
	}
	f.Evidence = append(f.Evidence, c.packetsItem(t, syns).partOf(float64(t.service.Attempts)))
	// Only of this host's own: the counter knows nothing of the SYNs that clients send.
	if retrans := "netstat.TcpExt.TCPSynRetrans"; t.service.Way == handshake.Outbound && c.Lines.Get(retrans) != nil {
		f.Evidence = append(f.Evidence, c.counterItem(retrans))
	}
	if place.look != "" {
		f.Remedy = append(f.Remedy, Remedy{What: place.look})
	}
	return f
}

// passingScan says whether somebody asks through this host for what answers nobody. What the recorder knew to have answered
// before (forward.waiting) is none.
func (c *Case) passingScan(t trouble) bool {
	return t.service.Way == handshake.Forwarded && t.kind == handshake.SYNUnanswered && t.service.Completed == 0 &&
		float64(len(t.Clients)) < unservedMany.Value && !c.forwardFired()
}

// forwardFired says whether the recorder was cut for what it forwards.
func (c *Case) forwardFired() bool {
	m := c.Evidence.Manifest
	return m != nil && slices.ContainsFunc(append([]format.Trigger{m.Trigger}, m.Joined...), func(t format.Trigger) bool { return strings.HasPrefix(t.Vital, "forward.") })
}

// parted says whether hardly any connection attempt whose SYN was repeated was answered in the end, while others were at once until the
// last: what loses packets by chance loses the second SYN no more often than the first. n is how many never were.
func (c *Case) parted(t trouble) (n uint64, ok bool) {
	for _, v := range c.traffic() {
		if v.Server != t.service.Server || t.kind != handshake.SYNUnanswered {
			continue
		}
		h := v.Hits(traffic.Ignored, flow.Server)
		const most = 4 // of five: some had no time left to be answered
		return h.Flows, float64(h.Flows) >= lossMany.Value && 5*h.Flows >= most*t.Flows &&
			time.Duration(t.Last-t.First) >= 5*time.Second && time.Duration(t.Last-v.BegunLast) < time.Second && v.Begun >= h.Flows/2
	}
	return 0, false
}

// filtered says that the bundle lists listeners, and none for the service's port.
func (c *Case) filtered(t trouble) bool {
	any := c.Evidence.Listener(func(*member.Socket) bool { return true })
	return any != nil && t.service.Completed == 0 && c.listenerOf(t.service) == nil
}

// repeatedHere counts the SYN-ACKs to the clients of a trouble that the kernel told to have sent again.
func (c *Case) repeatedHere(t trouble) (n int) {
	for i := range c.Evidence.Events {
		e := &c.Evidence.Events[i]
		if service, client := ends(e, handshake.Inbound); e.Kind == member.SYNACKRetransmit && service == t.service.Server && t.Clients[client.Addr()] > 0 {
			n++
		}
	}
	return n
}

// translates says whether this host forwards packets and has rules that may give them other destinations: a port at which
// nobody listens here may be a container's or another server's.
func (c *Case) translates() bool {
	v4, _ := c.setting("net.ipv4.ip_forward")
	v6, _ := c.setting("net.ipv6.conf.all.forwarding")
	n := c.Evidence.Netfilter
	if v4 == 0 && v6 == 0 || n == nil {
		return false
	}
	const empty = 5 // entries of a table without rules: four policies and the end
	legacy := func(t member.LegacyTable) bool { return t.Table == "nat" && t.Entries > empty }
	return slices.ContainsFunc(slices.Concat(n.IPv4, n.IPv6), legacy) || slices.ContainsFunc(n.Nftables, func(t *member.NftTable) bool {
		return slices.ContainsFunc(t.Chains, func(chain *member.NftChain) bool {
			return chain.Type == "nat" && chain.Hook == "prerouting" && chain.Rules > 0
		})
	})
}

// said is the place of SYNs of which most were answered with an ICMP error: somebody did answer, and says why.
func (c *Case) said(t trouble) (where, bool) {
	if t.kind != handshake.SYNUnanswered {
		return where{}, false
	}
	for _, v := range c.traffic() {
		h := v.Hits(traffic.Unreachable, flow.Server)
		if v.Server != t.service.Server || h.Flows == 0 || 2*h.Flows < t.Flows {
			continue
		}
		why, look := refusal(v.Server.Addr(), h.Examples, c.local)
		return where{why, fmt.Sprintf("No SYN-ACK answered them, but for %s an ICMP error came.", words.Plural(h.Flows, "attempt", "attempts")), look}, true
	}
	return where{}, false
}

// where says where something was lost: in a few words, in a sentence, and where to look.
type where struct{ short, sentence, look string }

// synPlace says where the SYN or its answer was lost, as the tap saw it.
func (c *Case) synPlace(t trouble) where {
	if t.kind == handshake.SYNLate && !c.answersLost(t) {
		return t.latePlace(c)
	}
	if t.kind == handshake.SYNHeld || t.underway() {
		return t.heldPlace(c)
	}
	if t.kind == handshake.SYNAnswered {
		switch t.service.Way {
		case handshake.Inbound:
			return where{"this host's answer did not reach the client",
				"This host had answered each with a SYN-ACK, which was lost behind the tap, on the way back.",
				"Follow the way back to the client: routes, rp_filter and firewalls between here and there."}
		case handshake.Outbound:
			return where{"this host did not take the answer",
				"The SYN-ACK had arrived here, and this host dropped it behind the tap: a local firewall rule, rp_filter or connection tracking.",
				"Look at this host's own packet filter and rp_filter for packets from this upstream."}
		}
		return where{"the answer did not reach the client", "A SYN-ACK had been captured before.", "Follow the way from the tap to the client."}
	}
	if t.kind == handshake.SYNUnseen {
		return where{"its answers are not in the capture",
			"The clients went on as if they had been answered, by a way that was not captured, so that nobody can tell whether the SYN or its answer was lost.",
			"Capture both ways: on all interfaces of the host, or both directions of the mirror port."}
	}
	switch t.service.Way {
	case handshake.Inbound:
		if t.service.Troubles[handshake.SYNLate].Flows > 0 {
			return where{"no answer of this host was captured",
				"Other SYN-ACKs left this host late: these may still have waited inside it when the capture ended, or the SYNs were dropped.", insideLook(c.beforeQueues())}
		}
		if n := c.repeatedHere(t); n > 0 {
			return where{"no answer of this host passed the tap",
				fmt.Sprintf("This host answered: its kernel told of %s. They were dropped on their way out before the tap, or left by an interface that is not recorded, and were lost behind it.",
					words.Plural(n, "SYN-ACK that it sent again", "SYN-ACKs that it sent again")),
				"Follow the way back to these clients: ip route get, the packet filter's output chains, tc -s qdisc; record all interfaces."}
		}
		return where{"this host did not answer",
			"The SYNs arrived here and nothing answered: this host dropped them behind the tap.",
			"Look at what drops between the interface and the listener: its queues, connection tracking, packet filter rules, the CPU backlog."}
	case handshake.Outbound:
		return where{"nothing came back",
			"The SYNs left this host and nothing came back: the path or the other side dropped them.",
			fmt.Sprintf("Ask whether %s is alive and reachable from here, and capture there too.", t.service.Server)}
	}
	if t.service.Way == handshake.Forwarded {
		return c.forwardedPlace(t)
	}
	if side, known := t.service.Near(); known {
		return nearPlace(side, t)
	}
	return where{"nothing answered",
		"Whether the server or the way to it is to blame cannot be told, as the capture does not say on which side it was taken.",
		"Record with spikeboxd, whose bundle says which addresses are the host's own, or capture on both sides."}
}

// notForwarded is the short of SYNs that came in at one interface and went out at none.
const notForwarded = "they did not leave this host again"

// forwardedPlace is synPlace for connections that this host forwards: whether their SYNs left it again, the packets at
// its other interface tell, where that was captured.
func (c *Case) forwardedPlace(t trouble) where {
	for _, s := range c.stretches() {
		n := s.Services[t.service.Server]
		if !s.here || n == nil || n.Passed == 0 || n.Asked == 0 {
			continue // or it is the way that the server's answers take
		}
		if float64(s.Refused) >= betweenRefused.Value {
			return where{notForwarded,
				fmt.Sprintf("This host forwards these connections: the SYNs came in at %s and did not go out at %s.", s.from.Name, s.to.Name),
				"Look at the neighbours (ip neigh), the link, the forward rules and the routes of the way out."}
		}
		if s.backward.Lost >= t.Flows { // else they are too few for what was repeated
			return where{"their answers were lost inside this host",
				fmt.Sprintf("This host forwards these connections: the SYNs went from %s to %s, and answers that came back there did not leave again.", s.from.Name, s.to.Name),
				"Look at the forward rules, routes and neighbours of this host, for packets on their way back."}
		}
		// A place that saw no packet any more did not see these SYNs.
		if s.to.Last < t.First {
			return where{notForwarded,
				fmt.Sprintf("This host forwards these connections: the SYNs came in at %s, and nothing left by %s any more, where others to the same service had gone.", s.from.Name, s.to.Name),
				fmt.Sprintf("Look at the forward rules, routes and neighbours of this host towards %s.", t.service.Server)}
		}
		if n.Lost == 0 && s.Refused == 0 && s.from.Last >= t.First {
			return where{"they left this host again and nothing came back",
				fmt.Sprintf("This host forwards these connections: the SYNs went from %s to %s, and no answer came by. The path behind it or the server dropped them.", s.from.Name, s.to.Name),
				fmt.Sprintf("Ask whether %s is alive and reachable from here, and capture there too.", t.service.Server)}
		}
	}
	return where{"no answer came back through this host",
		"This host forwards these connections: it, the path behind it or the server dropped the SYNs or their answers.",
		"Follow one over the interfaces (spikebox packets --flow): if the SYN left this host again, look at the server and the way there, else at the forward rules, routes and neighbours here."}
}

// answersLost says whether this host forwards the connections and lost as many answers on their way through: then those that
// came late are copies of what was lost.
func (c *Case) answersLost(t trouble) bool {
	return t.service.Way == handshake.Forwarded && slices.ContainsFunc(c.stretches(), func(s stretchOf) bool {
		n := s.Services[t.service.Server]
		return s.here && n != nil && n.Asked > 0 && s.backward.Lost >= t.Flows
	})
}

// latePlace is synPlace for answers that came after all.
func (t trouble) latePlace(c *Case) where {
	var longest int64
	for _, h := range t.Examples {
		longest = max(longest, h.SYNACKs[0].Time-h.SYNs[0].Time)
	}
	after := unit.Duration(time.Duration(longest))
	if t.service.Way == handshake.Inbound {
		return where{"this host answered late",
			fmt.Sprintf("Nothing was lost: the SYN-ACKs left this host up to %s after the SYNs had come. They, or the SYNs, waited inside this host.", after),
			insideLook(c.beforeQueues())}
	}
	return where{"the answer came late",
		fmt.Sprintf("Nothing was lost: the SYN-ACKs came up to %s after the SYNs, when those had been repeated already.", after),
		"Look for a long queue on the way to the server and back, and at the server itself."}
}

// nearPlace is synPlace for a capture without directions that was taken beside one side.
func nearPlace(side flow.Side, t trouble) where {
	if side == flow.Server {
		return where{"the server did not answer",
			"The capture was taken beside the server, which answered other SYNs at once: the SYNs reached it, and its host dropped them.",
			"Look at the server's listen queues, connection tracking and packet filter."}
	}
	return where{"nothing came back",
		"The capture was taken beside the clients: the path or the server dropped the SYNs.",
		fmt.Sprintf("Capture beside %s, too.", t.service.Server)}
}
