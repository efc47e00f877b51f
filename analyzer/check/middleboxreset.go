package check

import (
	"fmt"
	"net/netip"

	"github.com/spikebox/spikebox/analyzer/flow"
	"github.com/spikebox/spikebox/analyzer/internal/words"
	"github.com/spikebox/spikebox/analyzer/traffic"
	"github.com/spikebox/spikebox/format/member"
	"github.com/spikebox/spikebox/format/unit"
)

var foreignMany = Limit{"connections", 3, "connections",
	"a path that changes in the very moment of a reset does so once"}

var middleboxReset = Check{
	ID:    "middlebox-reset",
	Title: "Somebody between reset connections",
	Doc:   "RSTs whose TTL, or IP identification and window, are not those of their sender's packets: another machine sent them in its name",
	Page: `A firewall, a load balancer with a timeout for idle connections, or a filter that does
not like what it sees ends connections with RSTs in the name of one or both ends. The
TTL gives them away: it counts down from the sender's own initial value (64, 128 or 255)
by one for each router, so that a machine in the middle has another distance, and often
another initial value. Such a RST is neither end's: reset-storm leaves it out.

What counts is a TTL more than six away from every other packet of that side in the same
connection; or a greater one, where all others have the same and the last of them came
within three seconds: such a RST has passed fewer routers. Or, with a TTL like theirs, an
IP identification far from where the side has counted to and a window that it never had.
Either of these two alone proves nothing: Linux sends a RST for no socket with the
identification 0 (random before 4.19) and the window 0.

A program may set the TTL of its own packets, as BGP does (RFC 5082), while RSTs for no
socket have the host's: where the identification goes on counting, or such a RST has come
as far as the others, it is the side's own. A machine of the same kind right beside the
end cannot be told, and of IPv6, without identification, only the TTL tells.`,
	Ref:      "RFC 9293 section 3.5.2; Weaver, Sommer, Paxson: Detecting Forged TCP Reset Packets, NDSS 2009",
	Needs:    []*Need{needPackets},
	Limits:   []Limit{foreignMany},
	Explains: []string{"established.resets", "established.resets.ratio"},
	run:      runMiddlebox,
}

// runMiddlebox gives a finding for each service and side in whose name connections were reset.
func runMiddlebox(c *Case) Answer {
	var findings []*Finding
	for _, by := range []flow.Side{flow.Server, flow.Client} {
		for _, h := range c.hits(by, traffic.Foreign) {
			if by == flow.Server && c.resetHere(h.service.Server) >= h.Flows {
				continue
			}
			findings = append(findings, c.middleboxFinding(h))
		}
	}
	if len(findings) == 0 {
		return absent("no RST had a TTL, or an IP identification and window, unlike its sender's other packets")
	}
	return present(c.rest(worst(findings), "resets by somebody between")...)
}

// resetHere counts the RSTs that this host's kernel told of sending from an address and port. A host that translates
// addresses for its containers answers itself what it no longer translates, in their name, and one hop nearer.
func (c *Case) resetHere(server netip.AddrPort) (n uint64) {
	for i := range c.Evidence.Events {
		if e := &c.Evidence.Events[i]; e.Kind == member.ResetSent && e.LocalPort == server.Port() && e.Local.Unmap() == server.Addr().Unmap() {
			n++
		}
	}
	return n
}

// middleboxFinding says in whose name, and how the TTLs differ.
func (c *Case) middleboxFinding(h hit) *Finding {
	span, _ := stretch(h.Seconds, 5)
	f := h.finding(c, span)
	if float64(h.Flows) >= foreignMany.Value {
		f.Severity = Warning
	}
	e := &h.Examples[0].Foreign
	name := "the server's"
	if h.by == flow.Client {
		name = "the client's"
	}
	f.effect = words.Plural(h.Flows, "connection", "connections") + " reset by somebody between"
	f.Headline = fmt.Sprintf("Somebody between the ends reset %s to %s in %s name: the RST has %s.",
		c.least(needPackets)+words.Plural(h.Flows, "connection", "connections"), c.named(h.service), name, differs(e))
	f.Detail = "Another machine sent it: a firewall, a load balancer or a filter on the way."
	if h.Sum > 0 {
		f.Detail += fmt.Sprintf(" It cut off a request or data in %s of them.", unit.Count(uint64(h.Sum)))
	}
	f.Evidence[0].say("%s", differs(e))
	f.Evidence[0].Filter = "tcp.flags.reset == 1 && (" + f.Evidence[0].Filter + ")"
	f.Remedy = []Remedy{{What: fmt.Sprintf("Look for what stands between: a TTL of %d has passed %s. Ask for its timeout for idle connections and its rules; keep-alives more often than its timeout keep connections alive.", e.RST.TTL[0], passed(e.RST.TTL[0]))}}
	return f
}

// passed says how many routers a TTL tells of.
func passed(ttl uint8) string {
	if n := flow.Hops(ttl); n > 0 {
		return words.Plural(n, "router", "routers")
	}
	return "no router before it was captured"
}

// differs says what a RST has that its sender's other packets have not.
func differs(e *flow.Foreign) string {
	var parts []string
	if e.TTL {
		parts = append(parts, fmt.Sprintf("a TTL of %d, where all its other packets have %s", e.RST.TTL[0], between(e.Last.TTL[0], e.Last.TTL[1])))
	}
	if e.ID {
		parts = append(parts, fmt.Sprintf("the IP identification %d, where they had counted to %d", e.RST.ID, e.Last.ID))
	}
	if e.Window {
		parts = append(parts, fmt.Sprintf("a window of %d, where theirs was %s", e.RST.Window[0], between(e.Last.Window[0], e.Last.Window[1])))
	}
	return words.List(parts)
}

// between writes a range.
func between[N uint8 | uint16](low, high N) string {
	if low == high {
		return fmt.Sprint(low)
	}
	return fmt.Sprintf("%d to %d", low, high)
}
