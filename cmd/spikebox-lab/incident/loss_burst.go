//go:build linux

package incident

import (
	"github.com/spikebox/spikebox/cmd/spikebox-lab/actor"
	"github.com/spikebox/spikebox/cmd/spikebox-lab/lab"
)

var lossBurst = &lab.Incident{
	Name: "loss-burst",
	Doc:  "for some seconds the network loses a part of what the server sends",
	Story: `
For a few seconds a line between the server and its clients loses every tenth packet.
Downloads stutter: lost segments are sent again, after duplicate ACKs or a timeout.`,
	Params: []lab.Param{
		lab.NewParam("permille", "of the server's packets that are lost", "100", "100"),
		lab.NewLoad("downloads", "that run meanwhile", "4", "40"),
		lab.Baseline("5s", "10s"),
		lab.NewParam("span", "how long the line is bad", "4s", "4s"),
	},
	Arm: []string{"--trigger", "retrans.ratio > 2%", "--before", "20s", "--after", "6s"},
	Expected: lab.Expected{
		Root:    "retransmission-burst",
		Allowed: []string{"loss-ratio", "rtt-spike", "synack-retransmit", "syn-retransmit"},
	},
	Run: runLossBurst,
}

// runLossBurst drops at random on the router, one way only: a capture on the server sees
// each original and its retransmission. The draws are the kernel's (nft's numgen), so
// the number of losses differs from run to run in spite of the seed; the counters say
// what it was.
func runLossBurst(s *lab.Stage) {
	s.Open(443, actor.Server{Comm: "nginx"})
	s.Downloads(s.Clients(), actor.Client{From: lab.Addresses(lab.CrowdNet, 4)})

	s.Begin("the router loses %d of 1000 packets from edge-1", s.Number("permille"))
	s.Router().Drop(lab.Forward, lab.From(lab.EdgeAddr), lab.Chance(s.Number("permille")))
	s.Sleep(s.Duration("span"))
	s.Router().Permit()
	s.Step("the router loses nothing any more")
}
