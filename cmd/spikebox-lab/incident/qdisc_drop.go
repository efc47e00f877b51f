//go:build linux

package incident

import (
	"github.com/spikebox/spikebox/cmd/spikebox-lab/actor"
	"github.com/spikebox/spikebox/cmd/spikebox-lab/lab"
)

var qdiscDrop = &lab.Incident{
	Name: "qdisc-drop",
	Doc:  "the server's own queueing discipline drops what it sends, before any capture sees it",
	Story: `
Somebody has limited the server's bandwidth with a token bucket and a queue of a few
packets. Downloads overrun it; the kernel drops their segments on the way to the
interface, where a capture on this host does not see them, and sends them again.`,
	Params: []lab.Param{
		lab.NewParam("rate", "bytes per second that the bucket lets through", "2000000", "2000000"),
		lab.NewParam("limit", "bytes that its queue holds", "30000", "30000"),
		lab.NewLoad("downloads", "that overrun it", "8", "40"),
		lab.Baseline("4s", "10s"),
	},
	Arm: []string{"--trigger", "retrans.ratio > 2%", "--before", "20s", "--after", "5s"},
	Expected: lab.Expected{
		Root:    "qdisc-drop",
		Effects: []string{"retransmission-burst"},
		// SYN-ACKs are dropped as well, and neither side hears of the other.
		Allowed: []string{"loss-ratio", "rtt-spike", "synack-retransmit", "syn-retransmit"},
	},
	Run: runQdiscDrop,
}

// runQdiscDrop drops above the tap: an outgoing packet is captured behind the queueing
// discipline (net/core/dev.c, dev_hard_start_xmit), so the bundle holds retransmissions
// whose originals nobody captured. TCP itself hears of the drop at once: what it could
// not even send again counts as TCPRetransFail.
func runQdiscDrop(s *lab.Stage) {
	edge := s.Edge()
	// BBR would find the rate and send no faster.
	edge.Sysctl("ipv4/tcp_congestion_control", "reno")
	s.Open(443, actor.Server{Comm: "nginx"})
	s.Downloads(s.Clients(), actor.Client{From: lab.Addresses(lab.CrowdNet, 8)})

	s.Begin("eth0 of edge-1 is limited to %d bytes per second", s.Number("rate"))
	edge.Shape("eth0", uint64(s.Number("rate")), uint32(s.Number("limit")))
}
