//go:build linux

package lab

import (
	"time"

	"github.com/spikebox/spikebox/cmd/spikebox-lab/actor"
)

var slowApplication = &Incident{
	Name: "slow-application",
	Doc:  "the server thinks long before each answer, while the network is as fast as ever",
	Story: `
A query plan has changed, and shop-api takes most of a second for what took a
millisecond. Customers call it a network problem; the network's round trips are as
short as before.`,
	Params: []Param{
		{"think", "time before each answer", "800ms", "800ms"},
		{"baseline", "healthy time before the incident", "5s", "10s"},
		{"span", "how long it goes on before the bundle is cut", "6s", "20s"},
	},
	Arm: []string{"--before", "15s", "--after", "1s"},
	Expected: Expected{
		Root: "slow-application",
	},
	run: runSlowApplication,
}

// runSlowApplication changes nothing but the time between request and answer. The
// server's Watch shows that its round trips stay what they were.
func runSlowApplication(s *stage) {
	edge, net := s.edge(), s.clients()
	api := s.serve(edge, 8080, actor.Server{Comm: "shop-api", Watch: 100 * time.Millisecond})
	s.arm(edge)
	customers := s.customers(net, edge, 8080)
	s.sleep(s.duration("baseline"))

	s.begin("shop-api thinks %v before each answer", s.duration("think"))
	api.tell("think %v", s.duration("think"))
	s.sleep(s.duration("span"))
	s.cut()
	s.collect(30 * time.Second)
	s.leave(customers, api)
}
