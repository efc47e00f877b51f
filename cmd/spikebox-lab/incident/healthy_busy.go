//go:build linux

package incident

import (
	"time"

	"github.com/spikebox/spikebox/cmd/spikebox-lab/actor"
	"github.com/spikebox/spikebox/cmd/spikebox-lab/lab"
)

var healthyBusy = &lab.Incident{
	Name: "healthy-busy",
	Doc:  "a busy proxy with an upstream, and the small troubles that every busy host has: nothing is wrong",
	Story: `
Hundreds of connections a second come in, others go out to an upstream. A few clients
ask at a closed port, a few are cut off in the middle. All of that is every day's life:
an analysis that warns of it will not be read when it matters.`,
	Params: []lab.Param{
		lab.NewLoad("rate", "new connections per second", "150", "1000"),
		lab.NewParam("baseline", "healthy time before the bundle is cut", "6s", "20s"),
	},
	Arm:      []string{"--before", "20s", "--after", "2s"},
	Expected: lab.Expected{},
	Run:      runHealthyBusy,
}

// runHealthyBusy adds to a healthy host what no busy one is without: one refused
// connection and one reset every two seconds, among hundreds that are well.
func runHealthyBusy(s *lab.Stage) {
	edge, clients, db := s.Edge(), s.Clients(), s.Upstream()
	clients.Sysctl("ipv4/tcp_rmem", "4096 4194304 6291456") // see healthy
	s.Serve(edge, 443, actor.Server{Comm: "nginx"})
	rude := s.Serve(edge, 8080, actor.Server{Comm: "old-api"})
	rude.Tell("manner %s", actor.MannerReset)
	s.Serve(db, 5432, actor.Server{Comm: "postgres"})
	s.Arm(edge)
	s.Load(clients, edge, 443, actor.Client{Group: "browsers", From: lab.Addresses(lab.HealthyNet, 100),
		Rate: s.Rate("rate"), Requests: 3, Gap: 20 * time.Millisecond, Bytes: 8000})
	s.Load(clients, edge, 443, actor.Client{Group: "app", From: lab.Addresses(lab.CrowdNet, 50),
		Count: 50, Gap: 500 * time.Millisecond})
	s.Load(edge, db, 5432, actor.Client{Group: "proxy", Comm: "haproxy",
		Count: 10, Gap: 20 * time.Millisecond, Bytes: 500})
	s.Load(clients, edge, 8443, actor.Client{Group: "scanner", From: lab.Addresses(lab.CrowdNet, 2), Rate: 0.5, Requests: 1})
	s.Load(clients, edge, 8080, actor.Client{Group: "cut-off", From: lab.Addresses(lab.CrowdNet, 2), Rate: 0.5, Requests: 1})

	s.Begin("nothing happens")
}
