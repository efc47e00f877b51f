//go:build linux

package lab

import (
	"time"

	"github.com/spikebox/spikebox/cmd/spikebox-lab/actor"
)

var closeWaitLeak = &Incident{
	Name: "close-wait-leak",
	Doc:  "a server forgets to close what its clients have closed",
	Story: `
Since its last release, shop-api forgets connections that its clients have closed. Each
stays in CLOSE_WAIT with its file descriptor until the process is restarted.`,
	Params: []Param{
		{"rate", "connections per second", "50", "500"},
		{"baseline", "healthy time before the incident", "4s", "10s"},
	},
	Arm: []string{"--trigger", "tcp.close_wait > 100", "--before", "15s", "--after", "3s"},
	Expected: Expected{
		Root: "close-wait-leak",
	},
	run: runCloseWaitLeak,
}

// runCloseWaitLeak lets the server keep its side of every connection open. The client's
// FIN is acknowledged and the socket stays in CLOSE_WAIT, which no timer ever ends.
func runCloseWaitLeak(s *stage) {
	edge, net := s.edge(), s.clients()
	api := s.serve(edge, 8080, actor.Server{Comm: "shop-api"})
	s.arm(edge)
	customers := s.load(net, edge, 8080, actor.Client{
		Group: "healthy", Comm: "customer", From: addresses(healthyNet, 8),
		Rate: float64(s.number("rate")), Requests: 1,
	})
	s.sleep(s.duration("baseline"))

	s.begin("shop-api closes no connection any more")
	api.tell("manner %s", actor.MannerLeak)
	s.collect(60 * time.Second)
	s.leave(customers, api)
}
