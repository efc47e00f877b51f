//go:build linux

package lab

import (
	"time"

	"github.com/spikebox/spikebox/cmd/spikebox-lab/actor"
)

var healthyBusy = &Incident{
	Name: "healthy-busy",
	Doc:  "a busy proxy with an upstream, and the small troubles that every busy host has: nothing is wrong",
	Story: `
Hundreds of connections a second come in, others go out to an upstream. A few clients
ask at a closed port, a few are cut off in the middle. All of that is every day's life:
an analysis that warns of it will not be read when it matters.`,
	Params: []Param{
		{"rate", "new connections per second", "150", "1000"},
		{"baseline", "healthy time before the bundle is cut", "6s", "20s"},
	},
	Arm:      []string{"--before", "10s", "--after", "2s"},
	Expected: Expected{},
	run:      runHealthyBusy,
}

// runHealthyBusy adds to a healthy host what no busy one is without: one refused
// connection and one reset every two seconds, among hundreds that are well.
func runHealthyBusy(s *stage) {
	edge, net, db := s.edge(), s.clients(), s.upstream()
	s.check(net.sysctl("ipv4/tcp_rmem", "4096 4194304 6291456")) // see healthy
	web := s.serve(edge, 443, actor.Server{Comm: "nginx"})
	rude := s.serve(edge, 8080, actor.Server{Comm: "old-api"})
	rude.tell("manner %s", actor.MannerReset)
	pg := s.serve(db, 5432, actor.Server{Comm: "postgres"})
	s.arm(edge)
	rate := float64(s.number("rate"))
	kinds := []*child{
		s.load(net, edge, 443, actor.Client{Group: "browsers", From: addresses(healthyNet, 100),
			Rate: rate, Requests: 3, Gap: 20 * time.Millisecond, Bytes: 8000}),
		s.load(net, edge, 443, actor.Client{Group: "app", From: addresses(crowdNet, 50),
			Count: 50, Gap: 500 * time.Millisecond}),
		s.load(edge, db, 5432, actor.Client{Group: "proxy", Comm: "haproxy", From: []string{edge.addr},
			Count: 10, Gap: 20 * time.Millisecond, Bytes: 500}),
		s.load(net, edge, 8443, actor.Client{Group: "scanner", From: addresses(crowdNet, 2), Rate: 0.5, Requests: 1}),
		s.load(net, edge, 8080, actor.Client{Group: "cut-off", From: addresses(crowdNet, 2), Rate: 0.5, Requests: 1}),
	}
	s.sleep(s.duration("baseline"))
	s.begin("nothing happens")
	s.cut()
	s.collect(30 * time.Second)
	s.leave(append(kinds, rude, web, pg)...)
}
