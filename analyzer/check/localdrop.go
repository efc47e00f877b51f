package check

import (
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"github.com/spikebox/spikebox/analyzer/handshake"
	"github.com/spikebox/spikebox/analyzer/internal/words"
	"github.com/spikebox/spikebox/analyzer/timeline"
	"github.com/spikebox/spikebox/format/member"
)

var localDrop = Check{
	ID:    "local-drop",
	Title: "An own rule dropped these connections' packets",
	Doc:   "this host's packet filter or policy dropped packets of connections that failed; says whose, and on the way in or out",
	Page: `The kernel says of each packet that it drops why, and the reason NETFILTER_DROP is a
rule or a policy of this host's own packet filter (IP_RPFILTER the reverse path filter,
XFRM_POLICY an IPsec policy). Every host on the internet drops all day what scanners
send, and that is what its rules are for: this check looks only at connections that the
capture shows to have failed, and joins them to the drops by their addresses and ports.

On which way it was dropped, the connection tells. A SYN that was captured and never
answered was dropped on its way in; if the connection is half-open all the same, or the
kernel repeats its SYN-ACK meanwhile, the answer was dropped on its way out. An ACK that
was captured, and a SYN-ACK that is repeated all the same, is dropped on its way in.

Whether the rule is wrong cannot be told: a port may be meant for some networks only.
The names and sizes of rule sets are in static/netfilter.json, their rules are not.`,
	Ref:      "include/net/dropreason-core.h, NETFILTER_DROP, and net/netfilter/core.c, nf_hook_slow, Linux 6.18; nft(8), \"nft monitor trace\"",
	Needs:    []*Need{needDropEvents, needPackets},
	Limits:   []Limit{manyFlows, manyShare, chanceShare},
	Explains: []string{"filtered.clients", "no.route", "no.route.ratio", "syn.retrans", "synack.retrans", "syn_recv", "tcp.syn_sent", "rto", "retrans", "retrans.ratio", "forward.retrans.ratio", "forward.stalled", "forward.unanswered", "forward.waiting"},
	run:      runLocalDrop,
}

var needDropEvents = needProbe(member.EventsName, "probe.drop", "single packets that the kernel dropped")

// ownReasons are the reasons that are a rule or a policy of this host, and what to look at.
var ownReasons = map[string]string{
	"NETFILTER_DROP": "the packet filter",
	"IP_RPFILTER":    "the reverse path filter (net.ipv4.conf.*.rp_filter)",
	"XFRM_POLICY":    "an IPsec policy",
	"SOCKET_FILTER":  "a filter on the socket",
	"TC_INGRESS":     "a tc filter",
	"TC_EGRESS":      "a tc filter",
	"XDP":            "an XDP program",
}

// ruled is what own rules dropped of one service's connections in trouble.
type ruled struct {
	trouble
	packets int
	clients map[netip.Addr]bool
	span    timeline.Span
	lines   []string // of events.jsonl
	reason  string
	place   string
	out     bool // on its way out
}

// droppedAnswer: the SYN-ACKs never left.
const droppedAnswer Variant = "answer-dropped"

// runLocalDrop joins drops and troubles.
func runLocalDrop(c *Case) Answer {
	found, _ := c.troubles(handshake.SYNUnanswered, handshake.SYNAnswered, handshake.SYNACKAnswered, handshake.SYNACKLost, handshake.SYNACKSilent)
	var findings []*Finding
	dropped := 0
	refused := c.refusedByConntrack()
	for i := range c.Evidence.Events {
		if e := &c.Evidence.Events[i]; e.Kind == member.PacketDrop && ownReasons[e.Reason] != "" && !refused(e) {
			dropped++
		}
	}
	if dropped == 0 {
		return absent("no rule or policy of this host dropped a packet of a connection")
	}
	told := map[*handshake.Service]bool{} // of one service's troubles, that of the most connections
	for _, t := range found[:min(len(found), mostServices)] {
		if r := c.ruled(t, refused); r.packets > 0 && !told[t.service] {
			told[t.service] = true
			findings = append(findings, c.ruledFinding(r))
		}
	}
	if len(findings) == 0 {
		return absent("%s dropped by this host's own rules, none of a connection that the packets show in trouble", words.Plural(dropped, "packet was", "packets were"))
	}
	return present(findings...)
}

// refusedByConntrack says which drops of netfilter are connection tracking's that is full: it drops in the
// hook itself (nf_hook_slow), as do rules of iptables. Where it counts as many, it is them.
func (c *Case) refusedByConntrack() func(e *member.Event) bool {
	if needConntrack.have(c).state == missing || len(runConntrackFull(c).Findings) == 0 {
		return func(*member.Event) bool { return false }
	}
	refused, _ := c.total("nstat.nf_conntrack.drop.cpu*").Sum(c.Window)
	sum, _ := c.Lines.Get("drop.NETFILTER_DROP").Sum(c.Window)
	return func(e *member.Event) bool { return refused >= sum/2 && strings.HasPrefix(e.Place, "nf_hook_slow") }
}

// ruled gives the drops of one trouble's connections.
func (c *Case) ruled(t trouble, refused func(*member.Event) bool) ruled {
	r := ruled{trouble: t, clients: map[netip.Addr]bool{}}
	dropped, taken := map[netip.AddrPort]bool{}, c.halfOpen(t.service.Server) // by client; TCP had seen the SYNs of those that were taken
	for i := range c.Evidence.Events {
		e := &c.Evidence.Events[i]
		service, client := ends(e, t.service.Way)
		if service != t.service.Server || t.Clients[client.Addr()] == 0 {
			continue
		}
		if e.Kind == member.SYNACKRetransmit {
			taken[client] = true
		}
		if e.Kind != member.PacketDrop || ownReasons[e.Reason] == "" || refused(e) {
			continue
		}
		r.packets++
		r.clients[client.Addr()], dropped[client] = true, true
		r.span = r.span.Join(timeline.Span{Start: e.Time, End: e.Time})
		r.reason, r.place = e.Reason, e.Place
		const most = 5 // lines; JSON Lines are there to be filtered
		if len(r.lines) < most {
			r.lines = append(r.lines, strconv.Itoa(e.Line))
		}
	}
	// Nothing came out to the tap, though the kernel had answered: then the answer was dropped. Of most, as a rule that drops what comes
	// by chance lets some of the repeated SYNs in.
	maps.DeleteFunc(taken, func(client netip.AddrPort, _ bool) bool { return !dropped[client] })
	r.out = t.service.Way == handshake.Inbound && t.kind == handshake.SYNUnanswered && 2*len(taken) > len(dropped)
	return r
}

// halfOpen gives the clients of a service whose SYN TCP has taken, and that have not answered since, by the lists of sockets. A SYN-ACK that
// an output hook refuses is not told as one that was sent again (net/ipv4/inet_connection_sock.c, inet_rtx_syn_ack).
func (c *Case) halfOpen(service netip.AddrPort) map[netip.AddrPort]bool {
	clients := map[netip.AddrPort]bool{}
	for i := range c.Evidence.Sockets {
		s := &c.Evidence.Sockets[i]
		if s.State == "SYN_RECV" && netip.AddrPortFrom(s.Local.Unmap(), s.LocalPort) == service {
			clients[netip.AddrPortFrom(s.Remote.Unmap(), s.RemotePort)] = true
		}
	}
	return clients
}

// ends gives an event's service and client: the recorder puts this host's side first.
func ends(e *member.Event, way handshake.Way) (service, client netip.AddrPort) {
	local, remote := netip.AddrPortFrom(e.Local.Unmap(), e.LocalPort), netip.AddrPortFrom(e.Remote.Unmap(), e.RemotePort)
	if way == handshake.Outbound {
		return remote, local
	}
	return local, remote
}

// ruledFinding says what was dropped of whom, and by what.
func (c *Case) ruledFinding(r ruled) *Finding {
	f := c.finding(r.trouble)
	f.Variant, f.Flows = "", nil
	span := r.span.Join(timeline.Span{Start: r.First, End: r.Last})
	f.at(span)
	f.onset = onset{early: span.Start}
	way := "in"
	if r.out {
		way, f.Variant = "out", droppedAnswer
	}
	packets := c.least(needDropEvents) + words.Plural(r.packets, "packet", "packets")
	from := words.Plural(len(r.clients), "client", "clients")
	f.effect, f.reason = packets+" dropped by an own rule", r.reason
	f.Headline = fmt.Sprintf("%s of this host dropped %s of %s to %s on their way %s: %s.",
		words.Sentence(ownReasons[r.reason]), packets, from, c.serviceName(r.trouble), way, ruledWhat(r))
	f.Detail = fmt.Sprintf("%s had to repeat themselves for it. If the rule is meant to keep them out, nothing is wrong.", words.Sentence(c.attempts(r.trouble)))
	f.Evidence = append(f.Evidence, Item{Kind: "log", Member: member.EventsName, Where: "lines " + strings.Join(r.lines, " "),
		Value: val(float64(r.packets)), Unit: "packets", Text: fmt.Sprintf("%s in %s, of %s", r.reason, r.place, from)})
	f.Evidence = append(f.Evidence, c.packetsItem(r.trouble, syns).partOf(float64(r.service.Attempts)))
	if s := c.Lines.Get("drop." + r.reason); s != nil {
		f.Evidence = append(f.Evidence, c.seriesItem(s, c.Window))
	}
	f.Remedy = []Remedy{{What: fmt.Sprintf("Find the rule: nft monitor trace, or the counters of nft list ruleset and iptables -L -v%s.", c.hooks(way))}}
	return f
}

// ruledWhat names the segments that were dropped.
func ruledWhat(r ruled) string {
	switch {
	case r.out:
		return "the SYN-ACKs never left"
	case r.kind == handshake.SYNUnanswered:
		return "TCP never saw the SYNs"
	case r.kind == handshake.SYNACKAnswered:
		return "the ACKs were captured, and TCP never saw them"
	}
	return "the answers were captured, and TCP never saw them"
}

// serviceName names a service with the program that serves it, where that is one of this host.
func (c *Case) serviceName(t trouble) string {
	name := t.service.Server.String()
	if l := c.listenerOf(t.service); l != nil && len(l.Process) > 0 && t.service.Way != handshake.Outbound {
		name += fmt.Sprintf(" (%s)", owner(l))
	}
	return name
}

// hooks names the chains that see packets on a way, as far as the bundle lists them.
func (c *Case) hooks(way string) string {
	hooks := map[string][]string{"in": {"ingress", "prerouting", "input"}, "out": {"output", "postrouting", "egress"}}[way]
	var names []string
	if n := c.Evidence.Netfilter; n != nil {
		for _, t := range n.Nftables {
			for _, chain := range t.Chains {
				if slices.Contains(hooks, chain.Hook) {
					names = append(names, fmt.Sprintf("%s %s %s (%s, policy %s)", t.Family, t.Name, chain.Name, words.Plural(chain.Rules, "rule", "rules"), chain.Policy))
				}
			}
		}
	}
	const most = 3
	if len(names) == 0 || len(names) > most {
		return ""
	}
	return ", in " + words.List(names)
}
