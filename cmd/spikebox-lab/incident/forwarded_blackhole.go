//go:build linux

package incident

import "github.com/spikebox/spikebox/cmd/spikebox-lab/lab"

var forwardedBlackhole = &lab.Incident{
	Name: "forwarded-blackhole",
	Doc:  "a server behind a router that is watched answers nobody any more",
	Story: `
The database behind the gateway has died, without a word. The gateway forwards what its clients send, as
before, and none of its own counters moves.`,
	Params: []lab.Param{
		lab.NewLoad("rate", "connections per second through the router", "20", "200"),
		lab.Baseline("4s", "10s"),
		lab.Span("8s", "10s"),
	},
	Arm: []string{"--trigger", "forward.waiting > 5", "--before", "20s", "--after", "3s"},
	Expected: lab.Expected{
		Root:    "syn-retransmit",
		Allowed: []string{"retransmission-burst", "loss-ratio", "kernel-drop", "rtt-spike"},
	},
	Run: runForwardedBlackhole,
}

// runForwardedBlackhole has the server drop what it is sent: nobody says so to anybody.
func runForwardedBlackhole(s *lab.Stage) {
	db, _ := s.Gateway()

	s.Begin("db-1 takes nothing in any more")
	db.Drop(lab.Input)
	s.Sleep(s.Duration("span"))
}
