//go:build linux

package incident

import (
	"github.com/spikebox/spikebox/cmd/spikebox-lab/actor"
	"github.com/spikebox/spikebox/cmd/spikebox-lab/lab"
)

var synDropped = &lab.Incident{
	Name: "syn-dropped",
	Doc:  "the server's own firewall silently drops the SYNs of one network",
	Story: `
A new firewall rule on the server swallows the SYNs of one network. A capture on the
server shows them arrive, again and again on their schedule, and nothing go out. No
counter of TCP moves, for TCP never sees them.`,
	Params: []lab.Param{
		lab.NewLoad("crowd", "clients behind the rule", "20", "400"),
		lab.Baseline("4s", "10s"),
		// Past the third retransmission on either schedule.
		lab.Span("8s", "8s"),
	},
	Arm: []string{"--before", "60s", "--after", "1s"},
	Expected: lab.Expected{
		Root:    "local-drop",
		Effects: []string{"syn-retransmit"},
		Allowed: []string{"kernel-drop"},
	},
	Run: runSynDropped,
}

// runSynDropped drops SYNs behind the tap and before tcp_v4_rcv (see
// runAckDroppedLocally), so that the clients repeat them and no counter of the server's
// TCP moves. There is no vital to trigger on either: SIGUSR1 cuts the bundle once the
// third retransmission is in it.
func runSynDropped(s *lab.Stage) {
	edge := s.Edge()
	s.Open(443, actor.Server{Comm: "nginx"})

	s.Begin("a firewall rule on edge-1 drops every SYN from %s", lab.CrowdNet)
	edge.Drop(lab.Input, lab.From(lab.CrowdNet), lab.Port(443), lab.Flags(lab.SYN|lab.ACK, lab.SYN))
	s.Crowd(443)
	s.Sleep(s.Duration("span"))
}
