//go:build linux

package lab

import (
	"time"

	"github.com/google/nftables"

	"github.com/spikebox/spikebox/cmd/spikebox-lab/actor"
)

var upstreamBlackhole = &Incident{
	Name: "upstream-blackhole",
	Doc:  "the SYNs of a proxy to its upstream vanish in the network",
	Story: `
The network between the proxy and its database swallows everything. The proxy's own SYNs
are repeated on their schedule and never answered; its customers are well connected
and wait.`,
	Params: []Param{
		{"rate", "connections per second to the upstream", "20", "200"},
		{"baseline", "healthy time before the incident", "4s", "10s"},
	},
	Arm: []string{"--trigger", "syn.retrans > 5", "--before", "10s", "--after", "9s"},
	Expected: Expected{
		Root: "syn-retransmit",
		// Connections that were open when the network broke repeat their last segments.
		Allowed: []string{"retransmission-burst", "loss-ratio"},
	},
	run: runUpstreamBlackhole,
}

// runUpstreamBlackhole is syn-retransmit in the other direction: it is the recorder's own
// host that repeats SYNs, and its sysctls that tell their schedule. Its proxy opens new
// connections for as long as nothing answers, as proxies do.
func runUpstreamBlackhole(s *stage) {
	edge, net, db := s.edge(), s.clients(), s.upstream()
	web := s.serve(edge, 443, actor.Server{Comm: "nginx"})
	pg := s.serve(db, 5432, actor.Server{Comm: "postgres"})
	s.arm(edge)
	customers := s.customers(net, edge, 443)
	proxy := s.load(edge, db, 5432, actor.Client{
		Group: "proxy", Comm: "haproxy", From: []string{edge.addr}, Rate: float64(s.number("rate")), Requests: 1,
	})
	s.sleep(s.duration("baseline"))

	s.begin("the router loses what edge-1 sends to db-1")
	s.check(s.router.drop(nftables.ChainHookForward, to(ipNet(upstreamAddr))))
	s.collect(60 * time.Second)
	s.leave(customers, proxy, web, pg)
}
