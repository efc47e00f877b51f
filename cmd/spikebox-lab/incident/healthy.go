//go:build linux

package incident

import (
	"time"

	"github.com/spikebox/spikebox/cmd/spikebox-lab/actor"
	"github.com/spikebox/spikebox/cmd/spikebox-lab/lab"
)

var healthy = &lab.Incident{
	Name: "healthy",
	Doc:  "several kinds of clients and a server that serves them all: nothing is wrong",
	Story: `
Browsers come and go, an app keeps its connections alive, a few large downloads run.
Nothing is wrong: an analysis that finds something is wrong itself.`,
	Params: []lab.Param{
		lab.NewLoad("rate", "new connections per second", "30", "300"),
		lab.NewParam("baseline", "healthy time before the bundle is cut", "6s", "20s"),
	},
	Arm:      []string{"--before", "20s", "--after", "2s"},
	Expected: lab.Expected{},
	Run:      runHealthy,
}

// runHealthy makes traffic that differs in all that checks look at, and is well: many
// short connections, a few long ones with pauses, large answers.
func runHealthy(s *lab.Stage) {
	edge, clients := s.Edge(), s.Clients()
	// A veth pair has no bandwidth limit: with the usual 128 KiB a download would
	// outrun its reader and close the window.
	clients.Sysctl("ipv4/tcp_rmem", "4096 4194304 6291456")
	s.Serve(edge, 443, actor.Server{Comm: "nginx"})
	s.Arm(edge)
	s.Load(clients, edge, 443, actor.Client{Group: "browsers", From: lab.Addresses(lab.HealthyNet, 30),
		Rate: s.Rate("rate"), Requests: 4, Gap: 50 * time.Millisecond, Bytes: 8000})
	s.Load(clients, edge, 443, actor.Client{Group: "app", From: lab.Addresses(lab.CrowdNet, 10),
		Count: 10, Gap: 200 * time.Millisecond})
	s.Load(clients, edge, 443, actor.Client{Group: "downloads", From: lab.Addresses(lab.CrowdNet, 3),
		Rate: 1, Requests: 1, Bytes: 1 << 20})

	s.Begin("nothing happens")
}
