//go:build linux

package incident

import (
	"github.com/spikebox/spikebox/cmd/spikebox-lab/actor"
	"github.com/spikebox/spikebox/cmd/spikebox-lab/lab"
)

var containerUpstreamDead = &lab.Incident{
	Name: "container-upstream-dead",
	Doc:  "what the containers of a host ask answers nobody any more",
	Story: `
The containers of a host keep their data in a database elsewhere, which has died. The host translates what they
send to its own address, and has no socket of it.`,
	Params: []lab.Param{
		lab.NewLoad("rate", "connections per second of the containers", "20", "200"),
		lab.Baseline("4s", "10s"),
		lab.Span("8s", "10s"),
	},
	Arm: []string{"--trigger", "forward.waiting > 5", "--before", "20s", "--after", "3s"},
	Expected: lab.Expected{
		Root:    "syn-retransmit",
		Allowed: []string{"retransmission-burst", "loss-ratio", "kernel-drop", "rtt-spike"},
	},
	Run: runContainerUpstreamDead,
}

// runContainerUpstreamDead has two containers behind a bridge and a translation.
func runContainerUpstreamDead(s *lab.Stage) {
	edge, db := s.Edge(), s.Upstream()
	s.Serve(db, 5432, actor.Server{Comm: "postgres"})
	containers := []*lab.Host{s.Container(edge, 1), s.Container(edge, 2)}
	s.Arm(edge)
	for _, c := range containers {
		s.Load(c, db, 5432, actor.Client{Group: "app", Comm: "app", Rate: s.Rate("rate") / 2, Requests: 2})
	}

	s.Begin("db-1 takes nothing in any more")
	db.Drop(lab.Input)
	s.Sleep(s.Duration("span"))
}
