//go:build linux

package incident

import (
	"github.com/spikebox/spikebox/cmd/spikebox-lab/actor"
	"github.com/spikebox/spikebox/cmd/spikebox-lab/lab"
)

var resolverSilent = &lab.Incident{
	Name: "resolver-silent",
	Doc:  "the name server that an application asks for each answer says nothing any more",
	Story: `
shop-api looks up its database's name for each page. The name server has a bad day, and the C library
waits 5 s, and 5 s again. Customers call shop-api slow, and it only waits.`,
	Params: []lab.Param{
		lab.NewLoad("rate", "requests per second", "20", "100"),
		lab.Baseline("4s", "10s"),
		lab.Span("8s", "15s"),
	},
	Arm: []string{"--before", "60s", "--after", "2s"},
	Expected: lab.Expected{
		Root:    "resolver-silent",
		Effects: []string{"slow-application"},
		Allowed: []string{"reset-storm"},
	},
	Run: runResolverSilent,
}

// runResolverSilent stops the name server; the network, and its host, are well.
func runResolverSilent(s *lab.Stage) {
	ns := s.Upstream()
	named := s.Act(ns, "datagrams", "named", actor.Datagrams{Comm: "named", Addr: ns.At(53), Answer: true})
	s.Open(8080, actor.Server{Comm: "shop-api", Resolver: ns.At(53)})
	s.Load(s.Clients(), s.Edge(), 8080, actor.Client{Group: "visitors", Rate: s.Rate("rate"), Requests: 1})

	s.Begin("the name server stands still")
	s.Freeze(named)
	s.Sleep(s.Duration("span"))
}
