//go:build linux

package lab

import (
	"time"

	"github.com/google/nftables"

	"github.com/spikebox/spikebox/cmd/spikebox-lab/actor"
)

var lossBurst = &Incident{
	Name: "loss-burst",
	Doc:  "for some seconds the network loses a part of what the server sends",
	Story: `
For a few seconds a line between the server and its clients loses every tenth packet.
Downloads stutter: lost segments are sent again, after duplicate ACKs or a timeout.`,
	Params: []Param{
		{"permille", "of the server's packets that are lost", "100", "100"},
		{"downloads", "that run meanwhile", "4", "40"},
		{"baseline", "healthy time before the incident", "5s", "10s"},
		{"span", "how long the line is bad", "4s", "4s"},
	},
	Arm: []string{"--trigger", "retrans.ratio > 2%", "--before", "10s", "--after", "6s"},
	Expected: Expected{
		Root:    "retransmission-burst",
		Allowed: []string{"loss-ratio", "rtt-spike", "synack-retransmit", "syn-retransmit"},
	},
	run: runLossBurst,
}

// runLossBurst drops at random on the router, one way only: a capture on the server sees
// each original and its retransmission. The draws are the kernel's (nft's numgen), so
// the number of losses differs from run to run in spite of the seed; the counters say
// what it was.
func runLossBurst(s *stage) {
	edge, net := s.edge(), s.clients()
	web := s.serve(edge, 443, actor.Server{Comm: "nginx"})
	s.arm(edge)
	customers := s.customers(net, edge, 443)
	downloads := s.load(net, edge, 443, actor.Client{
		Group: "downloads", Comm: "mirror", From: addresses(crowdNet, 4),
		Count: s.number("downloads"), Bytes: 100_000, Gap: 100 * time.Millisecond,
	})
	s.sleep(s.duration("baseline"))

	s.begin("the router loses %d of 1000 packets from edge-1", s.number("permille"))
	s.check(s.router.drop(nftables.ChainHookForward, from(ipNet(edgeAddr)), chance(uint32(s.number("permille")))))
	s.sleep(s.duration("span"))
	s.check(s.router.permit())
	s.step("the router loses nothing any more")
	s.collect(30 * time.Second)
	s.leave(customers, downloads, web)
}
