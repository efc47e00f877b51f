//go:build linux

package lab

import (
	"time"

	"github.com/google/nftables"

	"github.com/spikebox/spikebox/cmd/spikebox-lab/actor"
)

var synackLost = &Incident{
	Name: "synack-lost",
	Doc:  "the way back to one network loses the SYN-ACKs: both sides repeat themselves",
	Story: `
After a change of routing, what the server sends to one network is lost on the way.
SYNs of its clients arrive, are answered, and arrive again; the answers are repeated
as well, and no ACK ever comes. Clients from elsewhere notice nothing.`,
	Params: []Param{
		{"crowd", "clients in the network that cannot be reached", "40", "400"},
		{"baseline", "healthy time before the incident", "4s", "10s"},
	},
	Arm: []string{"--syn-recv", "20", "--before", "10s", "--after", "9s"},
	Expected: Expected{
		Root:    "synack-retransmit",
		Effects: []string{"syn-retransmit", "syn-recv-pileup"},
		Allowed: []string{"retransmission-burst", "loss-ratio"},
	},
	run: runSynackLost,
}

// runSynackLost loses the answers on the router, where no tap of the server sees it.
// Both sides have a timer then, and a repeated SYN makes the server answer at once as
// well (tcp_minisocks.c, tcp_check_req), so that it sends about two SYN-ACKs for each
// SYN that the client repeats.
func runSynackLost(s *stage) {
	edge, net := s.edge(), s.clients()
	web := s.serve(edge, 443, actor.Server{Comm: "nginx"})
	s.arm(edge)
	customers := s.customers(net, edge, 443)
	s.sleep(s.duration("baseline"))

	s.begin("the router loses what edge-1 sends to %s", crowdNet)
	s.check(s.router.drop(nftables.ChainHookForward, from(ipNet(edgeAddr)), to(ipNet(crowdNet))))
	crowd := s.load(net, edge, 443, actor.Client{
		Group: "crowd", Comm: "subscriber", From: addresses(crowdNet, 20),
		Rate: float64(s.number("crowd")), Count: s.number("crowd"), Requests: 1,
	})
	s.collect(60 * time.Second)
	s.leave(customers, crowd, web)
}
