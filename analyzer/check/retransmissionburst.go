package check

import (
	"github.com/spikebox/spikebox/analyzer/subject"
	"github.com/spikebox/spikebox/format/unit"
)

var retransmissionBurst = Check{
	ID:    "retransmission-burst",
	Title: "Many segments were sent again",
	Doc:   "for some seconds far more segments were sent again than in the rest of the window; says to or from whom, and by which mechanism",
	Page: `A segment that is lost is sent again: within a round trip where later ones arrive and
the receiver says so, after a timeout of 200 ms and more where it was the last. So loss
is felt as delay.

Whom it hits says where it is: one peer or network is the path to it, everybody is this
host's own uplink. A capture on the sender that holds the retransmission but never held
the original proves that the packet was lost inside the host, before the tap.

Retransmissions that the receiver reports as not needed (DSACK) tell of late
acknowledgements, and not of loss.`,
	Ref:    "RFC 6298, RFC 6675, RFC 8985, RFC 2883; package flow says how retransmissions are told from reordering",
	Needs:  []*Need{needPackets},
	Limits: []Limit{lossShare, lossMany, lossFactor, lossCritical, manyFlows, manyShare},
	Causes: []Link{
		{Cause: &lostBetween, On: subject.KindPeer, Slack: counterSlack,
			Because: "what is lost between the two places is sent again"},
		{Cause: &rttSpike, CauseVariant: insideHost, On: subject.KindHost, Slack: counterSlack,
			Because: "timers fire while segments or acknowledgements wait inside this host"},
		{Cause: &rttSpike, On: subject.KindPeer, Slack: counterSlack, If: ofMostPeers,
			Because: "timers fire while segments or acknowledgements wait in a queue, and a queue that is full drops"},
		{Cause: &qdiscDrop, On: subject.KindHost, Slack: counterSlack, If: ofOneInterface,
			Because: "what this host's own queue drops has to be sent again"},
		{Cause: &kernelDrop, EffectVariant: ofPeers, On: subject.KindHost, Slack: counterSlack, If: behindTheTap,
			Because: "what the kernel drops behind the tap is not acknowledged, and sent again"},
		{Cause: &linkFlap, On: subject.KindInterface, Slack: counterSlack, If: harmful,
			Because: "what an interface without a link does not carry has to be sent again"},
		{Cause: &txTimeout, On: subject.KindInterface, Slack: counterSlack, If: harmful,
			Because: "timers fire while segments wait in a queue that hangs, and the card's reset drops them"},
		{Cause: &nicError, On: subject.KindInterface, Slack: counterSlack, If: losesAsMuch,
			Because: "a frame that arrives damaged is a segment, or an acknowledgement, that is lost"},
		{Cause: &nicDrop, On: subject.KindInterface, Slack: counterSlack, If: losesAsMuch,
			Because: "what the interface drops is a segment, or an acknowledgement, that is lost"},
		{Cause: &peerVanished, On: subject.KindPeer, Slack: counterSlack, If: ofMostPeers,
			Because: "what a silent peer does not acknowledge is sent again and again"},
		{Cause: &pmtuBlackhole, On: subject.KindPeer, Slack: counterSlack, If: ofMostPeers,
			Because: "large segments that vanish are sent again and again"},
	},
	Explains: []string{"retrans.ratio", "rto", "rto.ratio", "peers.stalled", "connections.stalled", "retrans", "rtt.p99", "rtt.max", "rtt.excess.p99", "rtt.excess.max", "connect.p99", "connect.max", "upstream.p99", "upstream.max", "tcp.fin_wait1", "forward.retrans.ratio", "forward.stalled"},
	run:      runBurst,
}

// runBurst gives a finding for each way.
func runBurst(c *Case) Answer {
	var findings []*Finding
	var n, sent float64
	for _, a := range c.againWays() {
		for i := range a.n {
			n, sent = n+a.n[i], sent+a.sent[i]
		}
		if a.burst(c) {
			findings = append(findings, a.finding(c))
		}
	}
	switch {
	case len(findings) > 0:
		return present(worst(findings)...)
	case n < lossMany.Value && c.kernelLoss():
		return c.veto(absent("hardly any segment was sent again"), lossMany.Value, retransSegs)
	}
	return absent("%s of the %s segments that followed a handshake were sent again, and no second stands out", unit.Count(uint64(n)), unit.Count(uint64(sent)))
}
