//go:build linux

package incident

import (
	"github.com/spikebox/spikebox/cmd/spikebox-lab/actor"
	"github.com/spikebox/spikebox/cmd/spikebox-lab/lab"
)

var pathLoss = &lab.Incident{
	Name: "path-loss",
	Doc:  "the path to the clients loses two packets of a hundred, both ways",
	Story: `
An optic on the way to the clients is dirty. Two packets of a hundred are lost, in both
directions and for hours: nothing is down, and everything is sluggish.`,
	Params: []lab.Param{
		lab.NewParam("permille", "of the packets that are lost", "20", "20"),
		lab.NewLoad("downloads", "that run meanwhile", "8", "40"),
		lab.Baseline("4s", "10s"),
		lab.Span("8s", "20s"),
	},
	Arm: []string{"--before", "60s", "--after", "1s"},
	Expected: lab.Expected{
		// The window has its baseline, in which nothing is lost: what is lost since stands out from
		// it. loss-ratio is for a window that has no such part.
		Root:    "retransmission-burst",
		Allowed: []string{"loss-ratio", "tail-loss", "syn-retransmit", "synack-retransmit", "rtt-spike"},
	},
	Run: runPathLoss,
}

// runPathLoss drops at random on the router: see loss-burst.
func runPathLoss(s *lab.Stage) {
	s.Open(443, actor.Server{Comm: "nginx"})
	s.Downloads(s.Clients(), actor.Client{From: lab.Addresses(lab.CrowdNet, 8)})

	s.Begin("the router loses %d of 1000 packets in both directions", s.Number("permille"))
	s.Router().Drop(lab.Forward, lab.Chance(s.Number("permille")))
	s.Sleep(s.Duration("span"))
}
