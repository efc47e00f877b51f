//go:build linux

package incident

import (
	"time"

	"github.com/spikebox/spikebox/cmd/spikebox-lab/actor"
	"github.com/spikebox/spikebox/cmd/spikebox-lab/lab"
)

var forwardedStalled = &lab.Incident{
	Name: "forwarded-stalled",
	Doc:  "a server behind a router that is watched falls silent under connections that were open",
	Story: `
The database behind the gateway has died, without a word. Its clients keep their connections open all day, and
begin no others: they send again and again, the gateway forwards it, and none of its own counters moves.`,
	Params: []lab.Param{
		lab.NewLoad("connections", "that are open through the router", "30", "300"),
		lab.Baseline("4s", "10s"),
		lab.Span("8s", "10s"),
	},
	Arm: []string{"--trigger", "forward.stalled > 6", "--before", "20s", "--after", "3s"},
	Expected: lab.Expected{
		Root:    "peer-vanished",
		Effects: []string{"retransmission-burst"},
		Allowed: []string{"loss-ratio", "kernel-drop", "rtt-spike"},
	},
	Run: runForwardedStalled,
}

// runForwardedStalled arms the recorder on the router, which has no socket of these connections.
func runForwardedStalled(s *lab.Stage) {
	db := s.Upstream()
	s.Serve(db, 5432, actor.Server{Comm: "postgres"})
	router, clients := s.Router(), s.Clients()
	s.Arm(router)
	s.Load(clients, db, 5432, actor.Client{Group: "app", Comm: "app", From: lab.Addresses(lab.HealthyNet, 8),
		Count: s.Number("connections"), Gap: 300 * time.Millisecond})

	s.Begin("db-1 takes nothing in any more")
	db.Drop(lab.Input)
	s.Sleep(s.Duration("span"))
}
