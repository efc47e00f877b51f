package check

import (
	"fmt"
	"strings"

	"github.com/spikebox/spikebox/analyzer/flow"
	"github.com/spikebox/spikebox/analyzer/handshake"
	"github.com/spikebox/spikebox/analyzer/internal/words"
	"github.com/spikebox/spikebox/analyzer/subject"
	"github.com/spikebox/spikebox/analyzer/timeline"
	"github.com/spikebox/spikebox/analyzer/traffic"
	"github.com/spikebox/spikebox/format/member"
	"github.com/spikebox/spikebox/format/unit"
)

var (
	halfMany = Limit{"half-open", 10, "connections",
		"a connection is half-open for one round trip: with 100 new ones a second and 100 ms these are ten"}
	halfFactor = Limit{"factor", 3, "times the usual",
		"more clients, or more distant ones, raise it in proportion; nothing healthy triples it within the window"}
	halfHold = Limit{"duration", 1.5, "s",
		"a burst of distant clients is over within a round trip; a SYN-ACK is repeated after a second"}
)

var synRecvPileup = Check{
	ID:    "syn-recv-pileup",
	Title: "Half-open connections piled up",
	Doc:   "connections stayed in SYN_RECV; weighs a flood, the clients, the ways out and back, this host's firewall and the accept queue against each other",
	Page: `A connection is in SYN_RECV from the SYN until the client's ACK was taken. Six things
keep it there, and all look alike in the count:

a flood: SYNs from addresses that nobody has;
the clients: they are gone or never answer;
the way out: the SYN-ACK never passes the tap, as a rule of this host's output drops it;
the return path: the SYN-ACK does not reach them, so they repeat their SYNs;
this host's firewall or connection tracking: the ACK arrived, and was dropped;
the accept queue: it is full, and the ACK cannot complete the connection.

A server that defers its accept (TCP_DEFER_ACCEPT) keeps each connection there until the
client sends data, which is no trouble. The finding lists for each what speaks for it and
what against it.`,
	Ref:    "net/ipv4/tcp_minisocks.c, tcp_check_req, and inet_connection_sock.c, reqsk_timer_handler, Linux 6.18",
	Needs:  []*Need{needVital("syn_recv", "vitals.listeners")},
	Limits: []Limit{halfMany, halfFactor, halfHold},
	Causes: []Link{
		{Cause: &synFlood, On: subject.KindHost, Slack: counterSlack,
			Because: "each forged SYN is half-open until the server gives up on it"},
		{Cause: &listenOverflow, On: subject.KindHost, Slack: counterSlack, If: overflown,
			Because: "an ACK that finds the accept queue full leaves its connection half-open"},
		{Cause: &synackRetransmit, On: subject.KindHost, Slack: counterSlack,
			Because: "a connection whose SYN-ACK is repeated is half-open meanwhile"},
		{Cause: &localDrop, CauseVariant: droppedAnswer, On: subject.KindHost, Slack: counterSlack,
			Because: "a connection whose SYN-ACK is dropped is half-open until the server gives up on it"},
		{Cause: &neighbourFailed, On: subject.KindHost, Slack: counterSlack, If: thrownAway,
			Because: "a connection whose SYN-ACK waits for a neighbour that does not answer is half-open meanwhile"},
		{Cause: &deferredAccept, On: subject.KindHost, Slack: counterSlack,
			Because: "a connection whose accept is deferred is half-open until data comes"},
	},
	Explains: []string{"syn_recv"},
	run:      runSYNRecv,
}

// runSYNRecv says how far it rose, and which of the six it was.
func runSYNRecv(c *Case) Answer {
	const vital = "syn_recv"
	line := c.Lines.Get(vital)
	p := pileup{vital: vital, usual: quantile(measured(line), 0.25)}
	limit := max(halfMany.Value, halfFactor.Value*p.usual)
	var ok bool
	p.span, ok = line.Longest(c.Window, limit)
	most, _, _ := line.Max(c.Window)
	if !ok || float64(p.span.End-p.span.Start)/1e9 < halfHold.Value {
		return absent("at most %s half-open, usually %s, or for less than %s", words.Plural(uint64(most), "connection was", "connections were"),
			unit.Number(p.usual), unit.Duration(seconds(halfHold.Value)))
	}
	p.most, _, _ = line.Max(p.span)
	f := &Finding{Severity: Warning, Object: "SYN_RECV"}
	f.at(p.span)
	f.onset.late = p.span.Start
	if item, ok := c.largestItem(vital, "1", p.span); ok {
		item.Limit = val(limit)
		f.Evidence = append(f.Evidence, item)
	}
	f.effect = "up to " + words.Plural(uint64(p.most), "half-open connection", "half-open connections")
	all := c.suspects()
	best := suspect{name: "the cause is not in the packets"}
	for _, s := range all {
		if s.flows > best.flows {
			best = s
		}
		f.Evidence = append(f.Evidence, s.item(c))
	}
	f.Headline = fmt.Sprintf("Up to %s half-open for %s, usually %s: %s.", words.Plural(uint64(p.most), "connection was", "connections were"),
		unit.Duration(f.End.Sub(f.Start)), unit.Number(p.usual), best.name)
	if v := c.halfOpenAt(p.span); v != "" {
		f.Detail = fmt.Sprintf("Most were of the listener %s.", v)
	}
	if best.name == deferring {
		f.Severity = Info
	}
	f.Remedy = append([]Remedy{{What: best.look}}, c.cookieRemedy()...)
	if best.look == "" {
		f.Remedy = []Remedy{{What: "Record packets of the interface on which the clients come: they tell the six causes apart."}}
	}
	return present(f)
}

// deferring is the suspect that is no trouble.
const deferring = "the server defers its accept"

// suspect is one of the causes, with what speaks for and against it.
type suspect struct {
	name         string
	flows        uint64
	pro, against []string
	look         string
}

// item is the suspect as evidence, so that the reader can disagree.
func (s suspect) item(c *Case) Item {
	text := "nothing for it"
	if len(s.pro) > 0 {
		text = "for: " + strings.Join(s.pro, ", ")
	}
	if len(s.against) > 0 {
		text += "; against: " + strings.Join(s.against, ", ")
	}
	return Item{Kind: "packets", Member: c.packetsMember(nil), Where: "suspect: " + s.name, Value: val(float64(s.flows)), Unit: "connections", Text: text}
}

// weigh adds what so many connections say, for or against.
func (s *suspect) weigh(n uint64, pro, against string) {
	switch {
	case n > 0 && pro != "":
		s.flows += n
		s.pro = append(s.pro, fmt.Sprintf(pro, unit.Count(n)))
	case n == 0 && against != "":
		s.against = append(s.against, against)
	}
}

// suspects weighs the six against each other, by the handshakes of the services that clients connect to.
func (c *Case) suspects() []suspect {
	var answered, lost, silentOnes, half, deferred, repeated, held uint64
	for _, v := range c.services() {
		if v.Way == handshake.Outbound {
			continue
		}
		answered += v.Troubles[handshake.SYNACKAnswered].Flows
		lost += v.Troubles[handshake.SYNACKLost].Flows
		silentOnes += v.Troubles[handshake.SYNACKSilent].Flows
		repeated += v.Troubles[handshake.SYNAnswered].Flows
		held += c.unsent(v)
	}
	for _, h := range c.hits(flow.Client, traffic.Half) {
		if h.way != handshake.Outbound {
			half += h.Flows
		}
	}
	deferred = c.deferred()
	flooded := len(c.floods()) > 0
	flood := suspect{name: "a flood", look: "See syn-flood."}
	if flooded {
		flood.weigh(half, "%s SYNs came once, from many addresses", "")
	} else {
		flood.against = []string{"too few SYNs that came once without an ACK"}
	}
	clients := suspect{name: "the clients never answered", look: "Compare the clients' addresses: one network that is gone, or many that scan."}
	clients.weigh(silentOnes, "%s SYN-ACKs were repeated, and nothing more came", "every client said something more")
	if flooded {
		clients.flows = 0
		clients.against = append(clients.against, "the addresses are forged")
	}
	out := suspect{name: "the SYN-ACKs do not leave this host", look: "Look for the rule that drops what this host sends: nft list ruleset, iptables -nvL OUTPUT; or for an interface that was not recorded."}
	out.weigh(held, "%s clients repeated their SYN, which TCP had taken, and no SYN-ACK passed the tap", "each SYN that TCP took was answered at the tap")
	path := suspect{name: "the SYN-ACKs do not reach the clients", look: "Follow the way back to the clients: routes, firewalls, asymmetric paths."}
	path.weigh(max(lost, repeated), "%s clients repeated their SYN though it had been answered", "no client repeated a SYN that had been answered")
	firewall, queue := c.ackSuspects(answered, deferred)
	accept := suspect{name: deferring, look: "Nothing needs to be done; see deferred-accept."}
	accept.weigh(deferred, "%s SYN-ACKs were repeated after an ACK that the server's TCP has seen", "no SYN-ACK echoes the client's ACK")
	return []suspect{flood, clients, out, path, firewall, queue, accept}
}

// ackSuspects weighs who did not take the clients' ACKs, where so many SYN-ACKs were repeated though theirs had come, of which so
// many waited for data: a rule of this host's, or a full accept queue.
func (c *Case) ackSuspects(answered, deferred uint64) (firewall, queue suspect) {
	firewall = suspect{name: "this host dropped the clients' ACKs", look: "Look for the rule that drops ACKs: nft list ruleset, iptables -nvL, conntrack -S (invalid)."}
	queue = suspect{name: "the accept queue was full", look: "See listen-overflow."}
	overflowed, taken := c.sum(overflows), min(deferred, answered)
	if overflowed > 0 {
		queue.weigh(max(answered, uint64(overflowed)), "ListenOverflows and ACKs that were not taken: %s", "")
		firewall.against = append(firewall.against, "accept queues overflowed")
	} else {
		queue.against = append(queue.against, "ListenOverflows +0")
		firewall.weigh(answered-taken, "%s SYN-ACKs were repeated though the ACK had arrived", "no SYN-ACK was repeated though the ACK had arrived")
	}
	filtered := 0
	for i := range c.Evidence.Events {
		if e := &c.Evidence.Events[i]; e.Kind == member.PacketDrop && strings.Contains(e.Reason, "NETFILTER") {
			filtered++
		}
	}
	if filtered > 0 {
		firewall.pro = append(firewall.pro, unit.Count(filtered)+" packets were dropped by netfilter")
	}
	return firewall, queue
}

// unsent counts a service's connections that are half-open though the tap saw no SYN-ACK of theirs.
func (c *Case) unsent(v *handshake.Service) uint64 {
	r := &v.Troubles[handshake.SYNUnanswered]
	n := uint64(0)
	for client := range c.halfOpen(v.Server) {
		if r.Clients[client.Addr()] > 0 {
			n++
		}
	}
	return min(n, r.Flows)
}

// halfOpenAt names the listener with the most half-open connections within a span.
func (c *Case) halfOpenAt(span timeline.Span) string {
	var most int64
	var best *member.Queue
	for i := range c.Evidence.Queues {
		if q := &c.Evidence.Queues[i]; q.SynQueue > most && q.Time >= span.Start && q.Time <= span.End {
			most, best = q.SynQueue, q
		}
	}
	if best == nil {
		return ""
	}
	at := subject.Listener{Addr: best.Local}
	if s := c.socketAt(at); s != nil {
		return fmt.Sprintf("%s (%s)", at, owner(s))
	}
	return at.String()
}
