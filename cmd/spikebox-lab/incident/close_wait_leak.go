//go:build linux

package incident

import (
	"github.com/spikebox/spikebox/cmd/spikebox-lab/actor"
	"github.com/spikebox/spikebox/cmd/spikebox-lab/lab"
)

var closeWaitLeak = &lab.Incident{
	Name: "close-wait-leak",
	Doc:  "a server forgets to close what its clients have closed",
	Story: `
Since its last release, shop-api forgets connections that its clients have closed. Each
stays in CLOSE_WAIT with its file descriptor until the process is restarted.`,
	Params: []lab.Param{
		lab.NewLoad("rate", "connections per second", "50", "500"),
		lab.Baseline("4s", "10s"),
	},
	Arm: []string{"--trigger", "tcp.close_wait > 100", "--before", "60s", "--after", "3s"},
	Expected: lab.Expected{
		Root: "close-wait-leak",
	},
	Run: runCloseWaitLeak,
}

// runCloseWaitLeak lets the server keep its side of every connection open. The client's
// FIN is acknowledged and the socket stays in CLOSE_WAIT, which no timer ever ends.
func runCloseWaitLeak(s *lab.Stage) {
	edge, clients := s.Edge(), s.Clients()
	api := s.Serve(edge, 8080, actor.Server{Comm: "shop-api"})
	s.Arm(edge)
	s.Load(clients, edge, 8080, actor.Client{
		Group: "healthy", Comm: "customer", From: lab.Addresses(lab.HealthyNet, 8),
		Rate: s.Rate("rate"), Requests: 1,
	})

	s.Begin("shop-api closes no connection any more")
	api.Tell("manner %s", actor.MannerLeak)
}
