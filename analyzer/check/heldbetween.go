package check

import (
	"fmt"
	"time"

	"github.com/spikebox/spikebox/analyzer/taps"
	"github.com/spikebox/spikebox/analyzer/timeline"
	"github.com/spikebox/spikebox/analyzer/traffic"
	"github.com/spikebox/spikebox/format/unit"
)

var (
	heldLimit = Limit{"delay", 0.100, "s beyond the quickest",
		"half of what rtt-spike calls long: a round trip has two ways"}
	heldMany = Limit{"segments", 10, "segments a second",
		"a few segments may all have met one burst; if ten within a second all waited, a queue stood"}
)

var heldBetween = Check{
	ID:    "held-between",
	Title: "Segments were held up between two places",
	Doc:   "for whole seconds every segment took far longer from one place to the next than the quickest did: at two interfaces of a host, or in two inputs",
	Page: `How long a segment takes from one place to another is measured on the segment
itself. Clocks of two hosts may differ, but that shifts all of them alike: how much
longer one took than the quickest of its way does not depend on it. A second in which
even the least delayed segment waited is one in which a queue stood, and was not merely
met.

Between two interfaces of this host it is this host that holds them up: its queue
discipline, or its CPUs.`,
	Ref:      "RFC 8289 section 3 (standing queues are told by the minimum); RFC 7679; package taps",
	Needs:    []*Need{needPlaces},
	Limits:   []Limit{heldLimit, heldMany},
	Explains: []string{"rtt.p50", "rtt.p99", "rtt.max", "rtt.excess.p99", "rtt.excess.max"},
	asked:    several,
	run:      runHeldBetween,
}

// runHeldBetween gives a finding for each way on which a queue stood.
func runHeldBetween(c *Case) Answer {
	var findings []*Finding
	worstWait := int64(0)
	b := c.between()
	for _, s := range c.stretches() {
		if b.Uneven(s.Way) {
			return unknown(fmt.Sprintf("the clocks of %s and %s do not run evenly beside each other: one of them was set or slewed within the window", s.from.Name, s.to.Name),
				"have both clocks kept right (chrony), or capture with one that nobody sets")
		}
		var hits []traffic.Second
		held := int64(0)
		for _, at := range s.seconds() {
			wait := s.Seconds[at].Min - s.Delay.Min
			if float64(s.Seconds[at].Passed) < heldMany.Value {
				continue
			}
			worstWait = max(worstWait, wait)
			if float64(wait) >= heldLimit.Value*1e9 {
				hits = append(hits, traffic.Second{At: at, N: uint32(s.Seconds[at].Passed)})
				held = max(held, wait)
			}
		}
		if span, n := stretch(hits, 1); n > 0 {
			findings = append(findings, c.heldFinding(s, span, held))
		}
	}
	if len(findings) > 0 {
		return present(worst(findings)...)
	}
	return absent("from one place to the next no second's segments all took more than %s longer than the quickest", unit.Duration(time.Duration(worstWait)))
}

// heldFinding tells of one way.
func (c *Case) heldFinding(s stretchOf, span timeline.Span, held int64) *Finding {
	f := &Finding{Severity: Warning, Object: s.name(), delay: float64(held) / 1e9}
	f.at(span)
	f.Subjects = s.subjects(func(*taps.Tally) bool { return true })
	f.effect = fmt.Sprintf("every segment waited %s", unit.Duration(time.Duration(held)))
	where := fmt.Sprintf("Between %s and %s", s.from.Name, s.to.Name)
	if s.here {
		where = fmt.Sprintf("In this host, between %s and %s,", s.from.Name, s.to.Name)
	}
	f.Headline = fmt.Sprintf("%s every segment took at least %s longer than the quickest, in the worst second.", where, unit.Duration(time.Duration(held)))
	f.Detail = fmt.Sprintf("On the way back half took no more than %s longer than the quickest.", unit.Duration(time.Duration(s.backward.Delay.Quantile(0.5)-s.backward.Delay.Min)))
	f.Evidence = []Item{{
		Kind: "packets", Member: s.from.Member, Where: "segments seen again at " + s.to.Name,
		Value: val(float64(held) / 1e9), Limit: val(heldLimit.Value), Unit: "s",
	}}
	f.Remedy = []Remedy{{What: fmt.Sprintf("Find the queue between %s and %s: whose link is full there (tc -s qdisc, interface counters of routers), and what fills it.", s.from.Name, s.to.Name)}}
	return f
}
