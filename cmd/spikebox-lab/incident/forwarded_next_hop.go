//go:build linux

package incident

import "github.com/spikebox/spikebox/cmd/spikebox-lab/lab"

var forwardedNextHop = &lab.Incident{
	Name: "forwarded-next-hop",
	Doc:  "the next hop of a router that is watched is gone from its wire",
	Story: `
The machine behind the gateway lost its link. The gateway asks for its hardware address, and nobody answers.`,
	Params: []lab.Param{
		lab.NewLoad("rate", "connections per second through the router", "20", "200"),
		lab.Baseline("4s", "10s"),
		lab.Span("8s", "10s"),
	},
	Arm: []string{"--trigger", "forward.waiting > 5", "--before", "20s", "--after", "3s"},
	Expected: lab.Expected{
		Root:    "syn-retransmit",
		Allowed: []string{"neighbour-failed", "connect-failed", "no-route", "retransmission-burst", "loss-ratio", "kernel-drop", "rtt-spike"},
	},
	Run: runForwardedNextHop,
}

// runForwardedNextHop lets the router's neighbour vanish, and the router forget it. What it forwards waits for the
// neighbour's address, and is dropped with ICMP to its sender after some seconds (net/ipv4/arp.c, arp_error_report).
func runForwardedNextHop(s *lab.Stage) {
	db, _ := s.Gateway()

	s.Begin("db-1 is gone from its wire")
	db.Vanish()
	s.Router().Forget(db)
	s.Sleep(s.Duration("span"))
}
