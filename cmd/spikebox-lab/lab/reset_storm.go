//go:build linux

package lab

import (
	"time"

	"github.com/spikebox/spikebox/cmd/spikebox-lab/actor"
)

var resetStorm = &Incident{
	Name: "reset-storm",
	Doc:  "a server resets its connections in place of answering",
	Story: `
A guard in front of shop-api has lost its configuration. It accepts every connection,
reads the request, and resets the connection in place of an answer.`,
	Params: []Param{
		{"rate", "connections per second", "50", "500"},
		{"baseline", "healthy time before the incident", "4s", "10s"},
	},
	Arm: []string{"--trigger", "resets > 10", "--before", "10s", "--after", "4s"},
	Expected: Expected{
		Root: "reset-storm",
	},
	run: runResetStorm,
}

// runResetStorm lets the server close with SO_LINGER 0, which sends RST in place of FIN
// (net/ipv4/tcp.c, __tcp_close). The connections were established, so both sides count
// EstabResets, and the request had been read: nothing of it is a refused connection.
func runResetStorm(s *stage) {
	edge, net := s.edge(), s.clients()
	web := s.serve(edge, 443, actor.Server{Comm: "nginx"})
	guard := s.serve(edge, 8080, actor.Server{Comm: "api-guard"})
	s.arm(edge)
	customers := s.customers(net, edge, 443)
	callers := s.load(net, edge, 8080, actor.Client{
		Group: "callers", From: addresses(crowdNet, 20), Rate: float64(s.number("rate")), Requests: 1,
	})
	s.sleep(s.duration("baseline"))

	s.begin("api-guard resets every connection after its request")
	guard.tell("manner %s", actor.MannerReset)
	s.collect(60 * time.Second)
	s.leave(customers, callers, guard, web)
}
