//go:build linux

package incident

import (
	"time"

	"github.com/spikebox/spikebox/cmd/spikebox-lab/actor"
	"github.com/spikebox/spikebox/cmd/spikebox-lab/lab"
)

var middleboxReset = &lab.Incident{
	Name: "middlebox-reset",
	Doc:  "a box on the way resets connections in the middle, in the name of the client",
	Story: `
An intrusion-prevention box between the server and one network takes ordinary traffic for an
attack. It answers a part of what the server sends with a reset, in the name of the client, and
lets that segment go no further: the connection ends in the middle of an answer.`,
	Params: []lab.Param{
		lab.NewLoad("rate", "connections per second", "60", "300"),
		lab.Baseline("4s", "10s"),
		lab.Span("6s", "10s"),
	},
	Arm: []string{"--before", "60s", "--after", "1s"},
	Expected: lab.Expected{
		Root:    "middlebox-reset",
		Allowed: []string{"reset-storm", "kernel-drop", "syn-retransmit", "synack-retransmit", "syn-recv-pileup", "retransmission-burst", "loss-ratio", "rtt-spike"},
	},
	Run: runMiddleboxReset,
}

// runMiddleboxReset has the router answer one of ten segments of edge-1 with a RST (nft reject with
// tcp reset). The client hears of it from edge-1 itself, which knows its next segment no more.
func runMiddleboxReset(s *lab.Stage) {
	s.Open(443, actor.Server{Comm: "nginx"})
	s.Load(s.Clients(), s.Edge(), 443, actor.Client{Group: "sessions", Rate: s.Rate("rate"), Requests: 5, Gap: 200 * time.Millisecond})

	// What the box makes itself begins with the TTL of its maker, 255 as network devices have it: a
	// box with that of the clients, a hop away from them, could not be told from them.
	s.Router().Sysctl("ipv4/ip_default_ttl", "255")

	s.Begin("the router resets, on one segment of ten, the connections with %s", lab.CrowdNet)
	s.Router().Reset(lab.Forward, lab.From(lab.EdgeAddr), lab.To(lab.CrowdNet), lab.Flags(lab.SYN, 0), lab.Chance(100))
	s.Sleep(s.Duration("span"))
}
