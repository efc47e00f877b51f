//go:build linux

package incident

import (
	"github.com/spikebox/spikebox/cmd/spikebox-lab/actor"
	"github.com/spikebox/spikebox/cmd/spikebox-lab/lab"
)

var healthyRouter = &lab.Incident{
	Name: "healthy-router",
	Doc:  "a busy router, through which somebody scans: nothing is wrong",
	Story: `
A gateway forwards what customers ask of the servers behind it. Somebody on the internet tries ports and addresses
behind it, as somebody always does: most of what is asked is not answered, or with a reset.`,
	Params: []lab.Param{
		lab.NewLoad("rate", "probes per second that pass", "300", "3000"),
		lab.NewParam("baseline", "healthy time before the bundle is cut", "6s", "20s"),
	},
	Arm: []string{"--before", "20s", "--after", "2s"},
	Run: runHealthyRouter,
}

// runHealthyRouter scans a server that answers on one port, refuses others and drops what comes for some more, with a
// client that tries again as a program's connect(2) does, and with made-up addresses as well.
func runHealthyRouter(s *lab.Stage) {
	edge, clients, router := s.Edge(), s.Clients(), s.Router()
	s.Serve(edge, 443, actor.Server{Comm: "nginx"})
	for port := 2000; port < 2004; port++ {
		edge.Drop(lab.Input, lab.Port(uint16(port)))
	}
	s.Arm(router)
	s.Load(clients, edge, 443, actor.Client{Group: "customers", Comm: "customer", From: lab.Addresses(lab.HealthyNet, 20), Rate: 50, Requests: 3})
	for port := 1998; port < 2004; port++ {
		s.Load(clients, edge, port, actor.Client{Group: "scanner", From: lab.Addresses(lab.CrowdNet, 1), Rate: s.Rate("rate") / 12, Requests: 1})
	}
	s.Flood(clients, actor.Flood{Comm: "zmap", To: edge.At(2001), Rate: s.Number("rate") / 2})

	s.Begin("nothing happens")
}
