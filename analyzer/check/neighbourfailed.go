package check

import (
	"fmt"
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
	Explains: []string{"neighbour.failed", "forward.waiting", "syn.retrans", "syn.retrans.ratio", "retrans.ratio", "tcp.syn_sent", "rto", "rto.ratio", "connect.failed", "connect.failed.ratio", "connect.p99", "connect.max", "forward.stalled", "forward.retrans.ratio", "forward.unanswered"},
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
	var findings []*Finding
	for _, n := range failed {
		if why, waiting := c.wanted(n); why != "" {
			f := &Finding{Severity: Warning, Object: n.Address, effect: n.Address + " unreachable on " + n.Interface}
			if addr, err := netip.ParseAddr(n.Address); err == nil {
				f.Subjects = append(f.Subjects, subject.Peer{Addr: addr})
			}
			f.Subjects = append(f.Subjects, subject.Interface{Name: n.Interface})
			f.Subjects = append(f.Subjects, c.askers(func(s *member.Socket) bool { return s.Remote.Unmap().String() == n.Address })...)
			if float64(waiting) >= manyFlows.Value {
				f.Severity = Critical
			}
			f.at(c.since(resFailed.span.Join(lost.span), drops))
			f.onset.early = c.Window.End - int64(n.Confirmed)*userTick.Nanoseconds()
			f.Headline = fmt.Sprintf("%s on %s did not answer for its address (%s), and what was to be sent there was thrown away: it is %s.", n.Address, n.Interface, n.State, why)
			f.Detail = "Such packets never pass the tap."
			if lost.all > 0 {
				f.Detail = fmt.Sprintf("%s thrown away while waiting for neighbours; such packets never pass the tap.", words.Sentence(words.Plural(uint64(lost.all), "packet was", "packets were")))
			}
			f.Evidence = append(f.Evidence, Item{Kind: "setting", Member: member.NeighboursName, Where: n.Address, Text: n.State + ": " + why})
			for _, s := range c.neighDrops() {
				f.Evidence = append(f.Evidence, c.seriesItem(s, c.Window))
			}
			f.Remedy = []Remedy{{What: fmt.Sprintf("Ask whether %s is alive and on this wire: arping, the switch's table of addresses, VLANs and port security of %s.", n.Address, n.Interface)}}
			findings = append(findings, f)
		}
		if len(findings) == mostServices {
			break
		}
	}
	if len(findings) == 0 {
		return absent("%s asked for in vain, and no connection waits for one of them", words.Plural(len(failed), "neighbour was", "neighbours were"))
	}
	return present(findings...)
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

// wanted says why a neighbour matters, empty where nothing waits for it, and how many connections do.
func (c *Case) wanted(n *member.Neighbour) (why string, waiting int) {
	for i := range c.Evidence.Routes {
		if r := &c.Evidence.Routes[i]; r.Gateway == n.Address {
			why = "the gateway of " + r.To
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
