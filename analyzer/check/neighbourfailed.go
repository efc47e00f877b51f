package check

import (
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/spikebox/spikebox/analyzer/internal/words"
	"github.com/spikebox/spikebox/analyzer/subject"
	"github.com/spikebox/spikebox/analyzer/timeline"
	"github.com/spikebox/spikebox/format/member"
)

var neighbourFailed = Check{
	ID:    "neighbour-failed",
	Title: "A neighbour did not answer for its address",
	Doc:   "packets waited for a neighbour's link address (ARP, neighbour discovery) and were thrown away; says whose",
	Page: `Before a packet can leave towards a neighbour on the same wire, its link address must be
known. The kernel asks for it (ARP, RFC 4861 neighbour discovery) three times, a second
apart, keeps some packets meanwhile, and throws them away if nobody answers: the
neighbour is off, has another address, or its switch port is wrong. Those packets never
pass the tap, so that a capture shows no SYN at all where a gateway or a backend is
gone.

An address that nobody has is asked for all day on a healthy host: a scan of an own
network, a monitor of a machine that was switched off. So it is a warning only where a
connection waits for that neighbour, or where it is the gateway of a route; critical,
where several connections wait.`,
	Ref:      "net/core/neighbour.c, neigh_timer_handler and neigh_invalidate, Linux 6.18; RFC 4861 section 7.3; arp(7)",
	Needs:    []*Need{needNeighbours},
	Limits:   []Limit{manyFlows},
	Explains: []string{"neighbour.failed", "forward.waiting", "syn.retrans", "syn.retrans.ratio", "retrans.ratio", "tcp.syn_sent", "rto", "rto.ratio", "connect.failed", "connect.failed.ratio", "connect.p99", "connect.max", "forward.stalled", "forward.retrans.ratio", "forward.unanswered", "serve.silence", "clients.silent", "peers.stalled", "syn_recv"},
	run:      runNeighbourFailed,
}

var needNeighbours = needProbe(member.NeighboursName, "links", "neighbours at the end")

// userTick is USER_HZ's, in which the kernel tells the ages of neighbours. That since when one was last confirmed says until when it
// was there: an answer of its own, or progress of a connection through it (net/core/neighbour.c, neigh_update; include/net/neighbour.h,
// neigh_confirm, Linux 6.18). An entry that is new is made as if it had been twice the reachable time before, a minute: then nobody knows.
const userTick = 10 * time.Millisecond

// runNeighbourFailed joins the neighbours that failed to gateways and to sockets that wait.
func runNeighbourFailed(c *Case) Answer {
	drops := timeline.Total("drop.NEIGH_*", c.neighDrops())
	lost, moved := c.burst(drops)
	resFailed, failing := c.burst(c.total("nstat.*_cache.res_failed.cpu*"))
	var failed []*member.Neighbour
	for i := range c.Evidence.Neighbours {
		n := &c.Evidence.Neighbours[i]
		// What was last asked for before the window is no part of it.
		inWindow := int64(n.Updated)*userTick.Nanoseconds() <= c.Window.End-c.Window.Start
		if (n.State == "FAILED" || n.State == "INCOMPLETE") && inWindow {
			failed = append(failed, n)
		}
	}
	if !moved && !failing || len(failed) == 0 {
		return absent("no neighbour failed to answer that was asked for in the window")
	}
	span := c.since(resFailed.span.Join(lost.span), drops)
	var findings []*Finding
	for _, who := range c.sought(failed) {
		f := c.soughtFinding(who, lost.all)
		f.at(span)
		if findings = append(findings, f); len(findings) == mostServices {
			break
		}
	}
	if len(findings) == 0 {
		return absent("%s asked for in vain, and no connection waits for one of them", words.Plural(len(failed), "neighbour was", "neighbours were"))
	}
	return present(findings...)
}

// sought is a neighbour that something waits for, or several of one interface.
type sought struct {
	first   *member.Neighbour
	why     string
	gateway bool
	waiting int // connections
	all     int // for those of more, too
	more    []*sought
}

// sought gives the neighbours that matter, and three and more of an interface that are no gateways as one: what took them
// away, or a route that leads to them there, is one thing.
func (c *Case) sought(failed []*member.Neighbour) (all []*sought) {
	const several = 3
	byLink := map[uint32][]*sought{}
	for _, n := range failed {
		why, waiting := c.wanted(n)
		who := &sought{first: n, why: why, gateway: strings.HasPrefix(why, gatewayOf), waiting: waiting, all: waiting}
		switch {
		case why == "":
		case who.gateway:
			all = append(all, who)
		default:
			byLink[n.Index] = append(byLink[n.Index], who)
		}
	}
	for _, index := range slices.Sorted(maps.Keys(byLink)) {
		list := byLink[index]
		if len(list) < several {
			all = append(all, list...)
			continue
		}
		slices.SortStableFunc(list, func(a, b *sought) int { return b.waiting - a.waiting })
		one := list[0]
		for _, other := range list[1:] {
			one.more, one.all = append(one.more, other), one.all+other.waiting
		}
		all = append(all, one)
	}
	return all
}

// soughtFinding tells of one, where so many packets were thrown away in all.
func (c *Case) soughtFinding(who *sought, lost float64) *Finding {
	n := who.first
	f := &Finding{Severity: Warning, Object: n.Address, effect: n.Address + " unreachable on " + n.Interface, count: lost}
	if float64(who.all) >= manyFlows.Value {
		f.Severity = Critical
	}
	for _, who := range append([]*sought{who}, who.more...) {
		n := who.first
		if addr, err := netip.ParseAddr(n.Address); err == nil {
			f.Subjects = append(f.Subjects, subject.Peer{Addr: addr})
		}
		f.Subjects = append(f.Subjects, c.askers(func(s *member.Socket) bool { return s.Remote.Unmap().String() == n.Address })...)
		if len(f.Evidence) < mostServices {
			f.Evidence = append(f.Evidence, Item{Kind: "setting", Member: member.NeighboursName, Where: n.Address, Text: n.State + ": " + who.why})
		}
		f.onset.early = max(f.onset.early, c.Window.End-int64(n.Confirmed)*userTick.Nanoseconds())
	}
	f.Subjects = append(f.Subjects, subject.Interface{Name: n.Interface})
	f.Headline = fmt.Sprintf("%s on %s did not answer for its address (%s), and what was to be sent there was thrown away: it is %s.", n.Address, n.Interface, n.State, who.why)
	f.Remedy = []Remedy{{What: fmt.Sprintf("Ask whether %s is alive and on this wire: arping, the switch's table of addresses, VLANs and port security of %s.", n.Address, n.Interface)}}
	if len(who.more) > 0 {
		f.Object = fmt.Sprintf("%d addresses on %s", 1+len(who.more), n.Interface)
		f.effect = f.Object + " unreachable"
		f.Headline = fmt.Sprintf("%s did not answer for themselves, %s among them, and what was to be sent there was thrown away: %s wait for them.",
			f.Object, n.Address, words.Plural(who.all, "connection", "connections"))
		f.Evidence = append(f.Evidence, Item{Kind: "socket", Member: member.SocketsName, Where: n.Interface, Value: val(float64(who.all)), Unit: "connections",
			Text: words.Plural(1+len(who.more), "address", "addresses")})
		f.Remedy = append([]Remedy{{What: fmt.Sprintf("See whether they belong on this wire at all (ip route get %s): a route without a gateway has this host look for them there.", n.Address)}}, f.Remedy...)
	}
	f.Detail = "Such packets never pass the tap."
	if lost > 0 {
		f.Detail = fmt.Sprintf("%s thrown away while waiting for neighbours; such packets never pass the tap.", words.Sentence(words.Plural(uint64(lost), "packet was", "packets were")))
	}
	for _, s := range c.neighDrops() {
		f.Evidence = append(f.Evidence, c.seriesItem(s, c.Window))
	}
	return f
}

// neighbourGives is for how long a packet waits for a neighbour before it is thrown away: three questions, a second
// apart (mcast_solicit times retrans_time_ms; net/core/neighbour.c, neigh_timer_handler, Linux 6.18).
const neighbourGives = 3 * time.Second

// since takes into a span what was thrown away before and after, as that comes in heaps, a round of questions apart, and moves its
// begin to when the first of those packets may have begun to wait.
func (c *Case) since(span timeline.Span, drops *timeline.Series) timeline.Span {
	for _, r := range drops.Runs(c.Window, 2*neighbourGives.Nanoseconds(), positive) {
		if r.Overlaps(span, 0) {
			span = span.Join(r)
		}
	}
	span.Start = max(span.Start-neighbourGives.Nanoseconds(), c.Window.Start)
	return span
}

// neighDrops are the kernel's drops of packets that waited for a neighbour.
func (c *Case) neighDrops() []*timeline.Series {
	all, _ := c.Lines.Match("drop.NEIGH_*")
	return slices.DeleteFunc(all, func(s *timeline.Series) bool { return strings.HasSuffix(s.Name, "_CREATEFAIL") })
}

// gatewayOf begins why the gateway of a route matters.
const gatewayOf = "the gateway of "

// wanted says why a neighbour matters, empty where nothing waits for it, and how many connections do.
func (c *Case) wanted(n *member.Neighbour) (why string, waiting int) {
	for i := range c.Evidence.Routes {
		if r := &c.Evidence.Routes[i]; r.Gateway == n.Address {
			why = gatewayOf + r.To
		}
	}
	for i := range c.Evidence.Sockets {
		s := &c.Evidence.Sockets[i]
		if s.At == member.AtEnd && s.Remote.IsValid() && s.Remote.Unmap().String() == n.Address && (s.State == "SYN_SENT" || s.Retransmits > 0) {
			waiting++
		}
	}
	if why != "" || waiting == 0 {
		return why, waiting
	}
	return "what " + words.Plural(waiting, "connection of this host waits for", "connections of this host wait for"), waiting
}
