package check

import (
	"fmt"

	"github.com/spikebox/spikebox/analyzer/flow"
	"github.com/spikebox/spikebox/analyzer/internal/words"
	"github.com/spikebox/spikebox/analyzer/traffic"
	"github.com/spikebox/spikebox/format/unit"
)

var foreignMany = Limit{"connections", 3, "connections",
	"a path that changes in the very moment of a reset does so once"}

var middleboxReset = Check{
	ID:    "middlebox-reset",
	Title: "Somebody between reset connections",
	Doc:   "RSTs whose TTL is far from that of every other packet of their sender: another machine sent them in its name",
	Page: `A firewall, a load balancer with a timeout for idle connections, or a filter that does
not like what it sees ends connections with RSTs in the name of one or both ends. The
TTL gives them away: it counts down from the sender's own initial value (64, 128 or 255)
by one for each router, so that a machine in the middle has another distance, and often
another initial value. Such a RST is neither end's: reset-storm leaves it out.

What counts is a TTL more than six away from every other packet of that side in the same
connection. A machine of the same kind right beside the end cannot be told so.`,
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
			findings = append(findings, c.middleboxFinding(h))
		}
	}
	if len(findings) == 0 {
		return absent("every RST had about the TTL of its sender's other packets")
	}
	return present(c.rest(worst(findings), "resets by somebody between")...)
}

// middleboxFinding says in whose name, and how the TTLs differ.
func (c *Case) middleboxFinding(h hit) *Finding {
	span, _ := stretch(h.Seconds, 5)
	f := h.finding(c, span)
	if float64(h.Flows) >= foreignMany.Value {
		f.Severity = Warning
	}
	e := h.Examples[0]
	usual := fmt.Sprint(e.TTLs[0])
	if e.TTLs[1] != e.TTLs[0] {
		usual = fmt.Sprintf("%d to %d", e.TTLs[0], e.TTLs[1])
	}
	name := "the server's"
	if h.by == flow.Client {
		name = "the client's"
	}
	f.effect = words.Plural(h.Flows, "connection", "connections") + " reset by somebody between"
	f.Headline = fmt.Sprintf("Somebody between the ends reset %s to %s in %s name: the RST has a TTL of %d, all its other packets have %s.",
		c.least(needPackets)+words.Plural(h.Flows, "connection", "connections"), c.named(h.service), name, e.ForeignTTL, usual)
	f.Detail = "Another machine sent it: a firewall, a load balancer or a filter on the way."
	if h.Sum > 0 {
		f.Detail += fmt.Sprintf(" It cut off a request or data in %s of them.", unit.Count(uint64(h.Sum)))
	}
	f.Evidence[0].Filter = "tcp.flags.reset == 1 && (" + f.Evidence[0].Filter + ")"
	f.Remedy = []Remedy{{What: fmt.Sprintf("Look for what stands between: a TTL of %d is some %d hops from here. Ask for its timeout for idle connections and its rules; keep-alives more often than its timeout keep connections alive.", e.ForeignTTL, hops(e.ForeignTTL))}}
	return f
}

// hops is how many routers a packet has passed, if its TTL began at the next of the usual values.
func hops(ttl uint8) int {
	for _, initial := range []int{64, 128, 255} {
		if int(ttl) <= initial {
			return initial - int(ttl)
		}
	}
	return 0
}
