//go:build linux

package incident

import (
	"github.com/spikebox/spikebox/cmd/spikebox-lab/actor"
	"github.com/spikebox/spikebox/cmd/spikebox-lab/lab"
)

var upstreamBlackhole = &lab.Incident{
	Name: "upstream-blackhole",
	Doc:  "the SYNs of a proxy to its upstream vanish in the network",
	Story: `
The network between the proxy and its database swallows everything. The proxy's own SYNs
are repeated on their schedule and never answered; its customers are well connected
and wait.`,
	Params: []lab.Param{
		lab.NewLoad("rate", "connections per second to the upstream", "20", "200"),
		lab.Baseline("4s", "10s"),
	},
	Arm: []string{"--trigger", "syn.retrans > 5", "--before", "20s", "--after", "9s"},
	Expected: lab.Expected{
		Root: "syn-retransmit",
		// Connections that were open when the network broke repeat their last segments.
		Allowed: []string{"retransmission-burst", "loss-ratio"},
	},
	Run: runUpstreamBlackhole,
}

// runUpstreamBlackhole is syn-retransmit in the other direction: it is the recorder's own
// host that repeats SYNs, and its sysctls that tell their schedule. Its proxy opens new
// connections for as long as nothing answers, as proxies do.
func runUpstreamBlackhole(s *lab.Stage) {
	s.Serve(s.Upstream(), 5432, actor.Server{Comm: "postgres"})
	s.Open(443, actor.Server{Comm: "nginx"})
	s.Proxy()

	s.Begin("the router loses what edge-1 sends to db-1")
	s.Router().Drop(lab.Forward, lab.To(lab.UpstreamAddr))
}
