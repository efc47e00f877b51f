//go:build linux

package incident

import (
	"github.com/spikebox/spikebox/cmd/spikebox-lab/actor"
	"github.com/spikebox/spikebox/cmd/spikebox-lab/lab"
)

var neighbourFailed = &lab.Incident{
	Name: "neighbour-failed",
	Doc:  "nobody answers for the hardware address of the upstream any more",
	Story: `
The proxy and its database are on one wire. The database's machine lost its link, the proxy's
cache of hardware addresses forgets it, and nobody answers when the kernel asks again. New
connections fail after some seconds with "no route to host".`,
	Params: []lab.Param{
		lab.NewLoad("rate", "connections per second to the upstream", "30", "200"),
		lab.Baseline("4s", "10s"),
		lab.Span("8s", "10s"),
	},
	Arm: []string{"--before", "60s", "--after", "1s"},
	Expected: lab.Expected{
		Root:    "neighbour-failed",
		Allowed: []string{"connect-failed", "syn-retransmit", "synack-retransmit", "syn-recv-pileup", "retransmission-burst", "loss-ratio", "rtt-spike", "kernel-drop"},
	},
	Run: runNeighbourFailed,
}

// runNeighbourFailed has the router answer ARP for the upstream until it stops doing so. A SYN waits for
// the address in the neighbour's queue, and after three questions a second apart connect(2)
// gets EHOSTUNREACH (net/core/neighbour.c, neigh_timer_handler; net/ipv4/arp.c, arp_error_report).
func runNeighbourFailed(s *lab.Stage) {
	edge, db := s.Edge(), s.Upstream()
	edge.Neighbour(db)
	s.Serve(db, 5432, actor.Server{Comm: "postgres"})
	s.Open(443, actor.Server{Comm: "nginx"})
	s.Proxy()

	s.Begin("nobody answers ARP for db-1 any more, and edge-1 forgets its address")
	s.Router().Vouch(edge, db, false)
	edge.Forget(db)
	s.Sleep(s.Duration("span"))
}
