//go:build linux

package incident

import (
	"github.com/spikebox/spikebox/cmd/spikebox-lab/actor"
	"github.com/spikebox/spikebox/cmd/spikebox-lab/lab"
)

var ackDroppedLocally = &lab.Incident{
	Name: "ack-dropped-locally",
	Doc:  "the server's own firewall drops the last ACK of some clients' handshakes",
	Story: `
A firewall rule on the server lets the SYNs of one network in and drops what follows.
A capture on the server shows each of these handshakes complete, for it sees packets
before the firewall does; yet the kernel keeps repeating the SYN-ACK, half-open
sockets pile up, and the clients, who think they are connected, wait for an answer.
Clients from elsewhere notice nothing.`,
	Params: []lab.Param{
		lab.NewLoad("crowd", "clients behind the rule", "40", "400"),
		lab.Baseline("4s", "10s"),
	},
	// The SYN-ACK is repeated after 1, 3 and 7 s on every Linux.
	Arm: []string{"--syn-recv", "20", "--before", "20s", "--after", "9s"},
	Expected: lab.Expected{
		Root:    "local-drop",
		Effects: []string{"synack-retransmit", "syn-recv-pileup"},
		// The clients repeat the requests that are never acknowledged.
		Allowed: []string{"retransmission-burst", "loss-ratio", "kernel-drop", "tuning"},
	},
	Run: runAckDroppedLocally,
}

// runAckDroppedLocally drops behind the tap: a packet socket gets its copy in
// __netif_receive_skb_core (net/core/dev.c), before netfilter's input hook. All segments
// with an ACK go, not only the bare one, for the first data would complete the handshake
// in its place. The request's timer repeats the SYN-ACK after 1, 3, 7 … s
// (inet_connection_sock.c, reqsk_timer_handler).
func runAckDroppedLocally(s *lab.Stage) {
	edge := s.Edge()
	s.Open(443, actor.Server{Comm: "nginx"})

	s.Begin("a firewall rule on edge-1 drops every segment but the SYN from %s", lab.CrowdNet)
	edge.Drop(lab.Input, lab.From(lab.CrowdNet), lab.Port(443), lab.Flags(lab.SYN|lab.ACK, lab.ACK))
	s.Crowd(443)
}
