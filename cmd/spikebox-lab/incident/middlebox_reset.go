//go:build linux

package incident

import (
	"time"

	"github.com/spikebox/spikebox/cmd/spikebox-lab/actor"
	"github.com/spikebox/spikebox/cmd/spikebox-lab/lab"
)

var middleboxReset = &lab.Incident{
	Name: "middlebox-reset",
	Doc:  "a firewall on the way resets connections that it has forgotten, on both sides",
	Story: `
A stateful firewall between the server and its clients was restarted and knows none of the
connections that go through it. Each next packet is answered with a reset, on both sides, in
the name of the other.`,
	Params: []lab.Param{
		lab.NewParam("rate", "connections per second", "60", "300"),
		lab.Baseline("4s", "10s"),
		lab.Span("6s", "10s"),
	},
	Arm: []string{"--before", "20s", "--after", "1s"},
	Expected: lab.Expected{
		Root:    "middlebox-reset",
		Allowed: []string{"reset-storm", "kernel-drop", "syn-retransmit", "synack-retransmit", "syn-recv-pileup", "retransmission-burst", "loss-ratio", "rtt-spike", "kernel-drop"},
	},
	Run: runMiddleboxReset,
}

// runMiddleboxReset has the router answer whatever is no SYN with a RST, for some seconds: as a firewall does
// that has no entry (nft reject with tcp reset). Every connection of the network is hit, old and new.
func runMiddleboxReset(s *lab.Stage) {
	s.Open(443, actor.Server{Comm: "nginx"})
	s.Load(s.Clients(), s.Edge(), 443, actor.Client{Group: "sessions", Rate: s.Rate("rate"), Requests: 5, Gap: 200 * time.Millisecond})

	s.Begin("the router resets every connection with %s", lab.CrowdNet)
	s.Router().Reset(lab.Forward, lab.From(lab.EdgeAddr), lab.To(lab.CrowdNet), lab.Flags(lab.SYN, 0))
	s.Router().Reset(lab.Forward, lab.From(lab.CrowdNet), lab.Flags(lab.SYN, 0))
	s.Sleep(s.Duration("span"))
}
