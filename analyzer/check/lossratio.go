package check

import (
	"github.com/spikebox/spikebox/analyzer/subject"
	"github.com/spikebox/spikebox/format/unit"
)

var lossRatio = Check{
	ID:    "loss-ratio",
	Title: "A part of all segments is lost",
	Doc:   "more segments are sent again than a healthy path needs, all the time; says to or from whom",
	Page: `Where a burst stands out from the window's quiet part, this is the part that is never
quiet: a line with errors, a policer, a full uplink. Below one segment in a hundred
nothing is said, as paths through the internet lose that much on good days; a data centre
should lose nothing at all.

What began before the window and lasts longer looks the same as what is always so.`,
	Ref:    "RFC 8085 section 3.1.2; Mathis et al., The Macroscopic Behavior of the TCP Congestion Avoidance Algorithm, 1997",
	Needs:  []*Need{needPackets},
	Limits: []Limit{lossShare, lossMany, lossCritical, manyFlows, manyShare},
	Causes: []Link{
		{Cause: &nicError, On: subject.KindInterface, Slack: counterSlack, If: losesAsMuch,
			Because: "a frame that arrives damaged is a segment, or an acknowledgement, that is lost"},
		{Cause: &nicDrop, On: subject.KindInterface, Slack: counterSlack, If: losesAsMuch,
			Because: "what the interface drops is a segment, or an acknowledgement, that is lost"},
	},
	Explains: []string{"retrans.ratio", "rto", "rto.ratio", "peers.stalled", "connections.stalled", "retrans", "rtt.p99", "rtt.max", "rtt.excess.p99", "rtt.excess.max", "connect.p99", "connect.max", "upstream.p99", "upstream.max", "tcp.fin_wait1", "forward.retrans.ratio", "forward.stalled"},
	run:      runLossRatio,
}

// runLossRatio gives a finding for each way on which no burst stands out.
func runLossRatio(c *Case) Answer {
	var findings []*Finding
	most := 0.0
	burst := false
	for _, a := range c.againWays() {
		if a.burst(c) {
			burst = true
			continue
		}
		if a.steady(c) {
			findings = append(findings, a.finding(c))
		}
		most = max(most, a.share)
	}
	switch {
	case len(findings) > 0:
		return present(worst(findings)...)
	case burst:
		return absent("outside of the burst %s at most were sent again", unit.Percent(most))
	case c.kernelLoss():
		return c.veto(absent("hardly any segment was sent again"), lossMany.Value, retransSegs)
	}
	return absent("%s of the segments that followed a handshake were sent again", unit.Percent(most))
}
