//go:build linux

package lab

import (
	"time"

	"github.com/google/nftables"

	"github.com/spikebox/spikebox/cmd/spikebox-lab/actor"
)

var synDropped = &Incident{
	Name: "syn-dropped",
	Doc:  "the server's own firewall silently drops the SYNs of one network",
	Story: `
A new firewall rule on the server swallows the SYNs of one network. A capture on the
server shows them arrive, again and again on their schedule, and nothing go out. No
counter of TCP moves, for TCP never sees them.`,
	Params: []Param{
		{"crowd", "clients behind the rule", "20", "400"},
		{"baseline", "healthy time before the incident", "4s", "10s"},
		// Past the third retransmission on either schedule.
		{"span", "how long it goes on before the bundle is cut", "8s", "8s"},
	},
	Arm: []string{"--before", "20s", "--after", "1s"},
	Expected: Expected{
		Root:    "syn-retransmit",
		Allowed: []string{"kernel-drop"},
	},
	run: runSynDropped,
}

// runSynDropped drops SYNs behind the tap and before tcp_v4_rcv (see
// runAckDroppedLocally), so that the clients repeat them and no counter of the server's
// TCP moves. There is no vital to trigger on either: SIGUSR1 cuts the bundle once the
// third retransmission is in it.
func runSynDropped(s *stage) {
	edge, net := s.edge(), s.clients()
	web := s.serve(edge, 443, actor.Server{Comm: "nginx"})
	s.arm(edge)
	customers := s.customers(net, edge, 443)
	s.sleep(s.duration("baseline"))

	s.begin("a firewall rule on edge-1 drops every SYN from %s", crowdNet)
	s.check(edge.drop(nftables.ChainHookInput, from(ipNet(crowdNet)), dport(443), flags(tcpSYN|tcpACK, tcpSYN)))
	crowd := s.load(net, edge, 443, actor.Client{
		Group: "crowd", Comm: "subscriber", From: addresses(crowdNet, 20),
		Rate: float64(s.number("crowd")), Count: s.number("crowd"), Requests: 1,
	})
	s.sleep(s.duration("span"))
	s.cut()
	s.collect(30 * time.Second)
	s.leave(customers, crowd, web)
}
