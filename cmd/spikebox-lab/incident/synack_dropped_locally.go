//go:build linux

package incident

import (
	"github.com/spikebox/spikebox/cmd/spikebox-lab/actor"
	"github.com/spikebox/spikebox/cmd/spikebox-lab/lab"
)

var synackDroppedLocally = &lab.Incident{
	Name: "synack-dropped-locally",
	Doc:  "the server's own firewall drops its answers to one network's SYNs",
	Story: `
A rule of the server's own firewall lets nothing out to one network. SYNs of its clients
arrive, again and again; the kernel answers each, and drops the answer before it reaches the
interface: a capture on the server shows SYNs and nothing else.`,
	Params: []lab.Param{
		lab.NewLoad("crowd", "clients behind the rule", "40", "400"),
		lab.Baseline("4s", "10s"),
		lab.Span("8s", "8s"),
	},
	Arm: []string{"--before", "60s", "--after", "1s"},
	Expected: lab.Expected{
		Root:    "local-drop",
		Allowed: []string{"syn-retransmit", "synack-retransmit", "syn-recv-pileup", "retransmission-burst", "loss-ratio", "rtt-spike", "kernel-drop"},
	},
	Run: runSynackDroppedLocally,
}

// runSynackDroppedLocally drops in the output hook, before the tap: the SYN-ACK's timer repeats what nobody
// ever sees, and what the hook refuses counts as a timeout, not as a SYN-ACK that was sent again.
func runSynackDroppedLocally(s *lab.Stage) {
	edge := s.Edge()
	s.Open(443, actor.Server{Comm: "nginx"})

	s.Begin("a firewall rule on edge-1 drops every SYN-ACK to %s", lab.CrowdNet)
	edge.Drop(lab.Output, lab.To(lab.CrowdNet), lab.Flags(lab.SYN|lab.ACK, lab.SYN|lab.ACK))
	s.Crowd(443)
	s.Sleep(s.Duration("span"))
}
