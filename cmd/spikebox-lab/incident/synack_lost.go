//go:build linux

package incident

import (
	"github.com/spikebox/spikebox/cmd/spikebox-lab/actor"
	"github.com/spikebox/spikebox/cmd/spikebox-lab/lab"
)

var synackLost = &lab.Incident{
	Name: "synack-lost",
	Doc:  "the way back to one network loses the SYN-ACKs: both sides repeat themselves",
	Story: `
After a change of routing, what the server sends to one network is lost on the way.
SYNs of its clients arrive, are answered, and arrive again; the answers are repeated
as well, and no ACK ever comes. Clients from elsewhere notice nothing.`,
	Params: []lab.Param{
		lab.NewLoad("crowd", "clients in the network that cannot be reached", "40", "400"),
		lab.Baseline("4s", "10s"),
	},
	Arm: []string{"--syn-recv", "20", "--before", "20s", "--after", "9s"},
	Expected: lab.Expected{
		Root:    "synack-retransmit",
		Effects: []string{"syn-retransmit", "syn-recv-pileup"},
		Allowed: []string{"retransmission-burst", "loss-ratio"},
	},
	Run: runSynackLost,
}

// runSynackLost loses the answers on the router, where no tap of the server sees it.
// Both sides have a timer then, and a repeated SYN makes the server answer at once as
// well (tcp_minisocks.c, tcp_check_req), so that it sends about two SYN-ACKs for each
// SYN that the client repeats.
func runSynackLost(s *lab.Stage) {
	s.Open(443, actor.Server{Comm: "nginx"})

	s.Begin("the router loses what edge-1 sends to %s", lab.CrowdNet)
	s.Router().Drop(lab.Forward, lab.From(lab.EdgeAddr), lab.To(lab.CrowdNet))
	s.Crowd(443)
}
