//go:build linux

package lab

import (
	"time"

	"github.com/spikebox/spikebox/cmd/spikebox-lab/actor"
)

var conntrackHog = &Incident{
	Name: "conntrack-hog",
	Doc:  "one client holds far more tracked connections than all others together",
	Story: `
A broken crawler opens connection after connection from one address and closes none.
Connection tracking has room yet, but one source fills most of what is taken.`,
	Params: []Param{
		{"connections", "that the one client holds", "1500", "20000"},
		{"baseline", "healthy time before the incident", "4s", "10s"},
	},
	Arm: []string{"--before", "20s", "--after", "1s"},
	Expected: Expected{
		Root: "conntrack-hog",
	},
	run: runConntrackHog,
}

// runConntrackHog makes real connections, all from one address, and holds them.
func runConntrackHog(s *stage) {
	edge, net := s.edge(), s.clients()
	s.check(edge.track())
	web := s.serve(edge, 443, actor.Server{Comm: "nginx"})
	s.arm(edge)
	customers := s.customers(net, edge, 443)
	s.sleep(s.duration("baseline"))

	n := s.number("connections")
	s.begin("one client opens %d connections and closes none", n)
	crawler := s.load(net, edge, 443, actor.Client{
		Group: "crawler", From: addresses(crowdNet, 1), Rate: float64(n) / 4, Count: n, Requests: 1, Bytes: 100, Hold: true,
	})
	s.until("its connections", time.Minute, func() bool {
		c, err := edge.counters()
		s.check(err)
		return c["state.ESTAB"] >= int64(n)
	})
	s.cut()
	s.collect(30 * time.Second)
	s.leave(customers, crawler, web)
}
