//go:build linux

package lab

import (
	"time"

	"github.com/google/nftables"

	"github.com/spikebox/spikebox/cmd/spikebox-lab/actor"
)

var ackDroppedLocally = &Incident{
	Name: "ack-dropped-locally",
	Doc:  "the server's own firewall drops the last ACK of some clients' handshakes",
	Story: `
A firewall rule on the server lets the SYNs of one network in and drops what follows.
A capture on the server shows each of these handshakes complete, for it sees packets
before the firewall does; yet the kernel keeps repeating the SYN-ACK, half-open
sockets pile up, and the clients, who think they are connected, wait for an answer.
Clients from elsewhere notice nothing.`,
	Params: []Param{
		{"crowd", "clients behind the rule", "40", "400"},
		{"baseline", "healthy time before the incident", "4s", "10s"},
	},
	// The SYN-ACK is repeated after 1, 3 and 7 s on every Linux.
	Arm: []string{"--syn-recv", "20", "--before", "10s", "--after", "9s"},
	Expected: Expected{
		Root:    "synack-retransmit",
		Effects: []string{"syn-recv-pileup"},
		// The clients repeat the requests that are never acknowledged.
		Allowed: []string{"retransmission-burst", "loss-ratio", "kernel-drop", "tuning"},
	},
	run: runAckDroppedLocally,
}

// runAckDroppedLocally drops behind the tap: a packet socket gets its copy in
// __netif_receive_skb_core (net/core/dev.c), before netfilter's input hook. All segments
// with an ACK go, not only the bare one, for the first data would complete the handshake
// in its place. The request's timer repeats the SYN-ACK after 1, 3, 7 … s
// (inet_connection_sock.c, reqsk_timer_handler).
func runAckDroppedLocally(s *stage) {
	edge, net := s.edge(), s.clients()
	web := s.serve(edge, 443, actor.Server{Comm: "nginx"})
	s.arm(edge)
	customers := s.customers(net, edge, 443)
	s.sleep(s.duration("baseline"))

	s.begin("a firewall rule on edge-1 drops every segment but the SYN from %s", crowdNet)
	s.check(edge.drop(nftables.ChainHookInput, from(ipNet(crowdNet)), dport(443), flags(tcpSYN|tcpACK, tcpACK)))
	crowd := s.load(net, edge, 443, actor.Client{
		Group: "crowd", Comm: "subscriber", From: addresses(crowdNet, 20),
		Rate: float64(s.number("crowd")), Count: s.number("crowd"), Requests: 1,
	})
	s.collect(60 * time.Second)
	s.leave(customers, crowd, web)
}
