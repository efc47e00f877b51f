//go:build linux

package lab

import (
	"time"

	"github.com/spikebox/spikebox/cmd/spikebox-lab/actor"
)

var healthy = &Incident{
	Name: "healthy",
	Doc:  "several kinds of clients and a server that serves them all: nothing is wrong",
	Story: `
Browsers come and go, an app keeps its connections alive, a few large downloads run.
Nothing is wrong: an analysis that finds something is wrong itself.`,
	Params: []Param{
		{"rate", "new connections per second", "30", "300"},
		{"baseline", "healthy time before the bundle is cut", "6s", "20s"},
	},
	Arm:      []string{"--before", "10s", "--after", "2s"},
	Expected: Expected{},
	run:      runHealthy,
}

// runHealthy makes traffic that differs in all that checks look at, and is well: many
// short connections, a few long ones with pauses, large answers.
func runHealthy(s *stage) {
	edge, net := s.edge(), s.clients()
	// A veth pair has no bandwidth limit: with the usual 128 KiB a download would
	// outrun its reader and close the window.
	s.check(net.sysctl("ipv4/tcp_rmem", "4096 4194304 6291456"))
	web := s.serve(edge, 443, actor.Server{Comm: "nginx"})
	s.arm(edge)
	kinds := []*child{
		s.load(net, edge, 443, actor.Client{Group: "browsers", From: addresses(healthyNet, 30),
			Rate: float64(s.number("rate")), Requests: 4, Gap: 50 * time.Millisecond, Bytes: 8000}),
		s.load(net, edge, 443, actor.Client{Group: "app", From: addresses(crowdNet, 10),
			Count: 10, Gap: 200 * time.Millisecond}),
		s.load(net, edge, 443, actor.Client{Group: "downloads", From: addresses(crowdNet, 3),
			Rate: 1, Requests: 1, Bytes: 1 << 20}),
	}
	s.sleep(s.duration("baseline"))
	s.begin("nothing happens")
	s.cut()
	s.collect(30 * time.Second)
	s.leave(append(kinds, web)...)
}
