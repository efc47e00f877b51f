//go:build linux

package incident

import (
	"github.com/spikebox/spikebox/cmd/spikebox-lab/actor"
	"github.com/spikebox/spikebox/cmd/spikebox-lab/lab"
)

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

// runForwardedBlackhole arms the recorder on the router, which has no socket of these connections.
func runForwardedBlackhole(s *lab.Stage) {
	db := s.Upstream()
	s.Serve(db, 5432, actor.Server{Comm: "postgres"})
	router, clients := s.Router(), s.Clients()
	s.Arm(router)
	s.Load(clients, db, 5432, actor.Client{Group: "app", Comm: "app", From: lab.Addresses(lab.HealthyNet, 8), Rate: s.Rate("rate"), Requests: 2})

	s.Begin("db-1 takes nothing in any more")
	db.Drop(lab.Input)
	s.Sleep(s.Duration("span"))
}
