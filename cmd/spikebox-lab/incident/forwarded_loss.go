//go:build linux

package incident

import (
	"time"

	"github.com/spikebox/spikebox/cmd/spikebox-lab/actor"
	"github.com/spikebox/spikebox/cmd/spikebox-lab/lab"
)

var forwardedLoss = &lab.Incident{
	Name: "forwarded-loss",
	Doc:  "a router that is watched loses packets of what it forwards",
	Story: `
A rule of the gateway's drops three packets of a hundred that it forwards. It sends nothing again itself, and none of
its counters of TCP moves.`,
	Params: []lab.Param{
		lab.NewParam("permille", "of the packets that are lost", "30", "30"),
		lab.NewLoad("connections", "that are open through the router", "40", "300"),
		lab.Baseline("4s", "10s"),
		lab.Span("8s", "20s"),
	},
	Arm: []string{"--trigger", "forward.retrans.ratio > 1% for 1500ms and forward.lossy > 10 for 1500ms", "--before", "20s", "--after", "3s"},
	Expected: lab.Expected{
		Root:    "lost-between",
		Effects: []string{"retransmission-burst"},
		Allowed: []string{"loss-ratio", "syn-retransmit", "synack-retransmit", "kernel-drop", "rtt-spike", "local-drop"},
	},
	Run: runForwardedLoss,
}

// runForwardedLoss drops at random between the router's interfaces.
func runForwardedLoss(s *lab.Stage) {
	db := s.Upstream()
	s.Serve(db, 5432, actor.Server{Comm: "postgres"})
	router, clients := s.Router(), s.Clients()
	s.Arm(router)
	s.Load(clients, db, 5432, actor.Client{Group: "app", Comm: "app", From: lab.Addresses(lab.HealthyNet, 8),
		Count: s.Number("connections"), Gap: 100 * time.Millisecond, Bytes: 10000})

	s.Begin("the router loses %d of 1000 packets", s.Number("permille"))
	router.Drop(lab.Forward, lab.Chance(s.Number("permille")))
	s.Sleep(s.Duration("span"))
}
