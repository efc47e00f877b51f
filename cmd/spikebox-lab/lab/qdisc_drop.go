//go:build linux

package lab

import (
	"time"

	"github.com/spikebox/spikebox/cmd/spikebox-lab/actor"
)

var qdiscDrop = &Incident{
	Name: "qdisc-drop",
	Doc:  "the server's own queueing discipline drops what it sends, before any capture sees it",
	Story: `
Somebody has limited the server's bandwidth with a token bucket and a queue of a few
packets. Downloads overrun it; the kernel drops their segments on the way to the
interface, where a capture on this host does not see them, and sends them again.`,
	Params: []Param{
		{"rate", "bytes per second that the bucket lets through", "2000000", "2000000"},
		{"limit", "bytes that its queue holds", "30000", "30000"},
		{"downloads", "that overrun it", "8", "40"},
		{"baseline", "healthy time before the incident", "4s", "10s"},
	},
	Arm: []string{"--trigger", "retrans.ratio > 2%", "--before", "10s", "--after", "5s"},
	Expected: Expected{
		Root:    "qdisc-drop",
		Effects: []string{"retransmission-burst"},
		// SYN-ACKs are dropped as well, and neither side hears of the other.
		Allowed: []string{"loss-ratio", "rtt-spike", "synack-retransmit", "syn-retransmit"},
	},
	run: runQdiscDrop,
}

// runQdiscDrop drops above the tap: an outgoing packet is captured behind the queueing
// discipline (net/core/dev.c, dev_hard_start_xmit), so the bundle holds retransmissions
// whose originals nobody captured. TCP itself hears of the drop at once: what it could
// not even send again counts as TCPRetransFail.
func runQdiscDrop(s *stage) {
	edge, net := s.edge(), s.clients()
	// BBR would find the rate and send no faster.
	s.check(edge.sysctl("ipv4/tcp_congestion_control", "reno"))
	web := s.serve(edge, 443, actor.Server{Comm: "nginx"})
	s.arm(edge)
	customers := s.customers(net, edge, 443)
	downloads := s.load(net, edge, 443, actor.Client{
		Group: "downloads", Comm: "mirror", From: addresses(crowdNet, 8),
		Count: s.number("downloads"), Bytes: 100_000, Gap: 100 * time.Millisecond,
	})
	s.sleep(s.duration("baseline"))

	s.begin("eth0 of edge-1 is limited to %d bytes per second", s.number("rate"))
	s.check(edge.shape("eth0", uint64(s.number("rate")), uint32(s.number("limit"))))
	s.collect(60 * time.Second)
	s.leave(customers, downloads, web)
}
