//go:build linux

package incident

import (
	"github.com/spikebox/spikebox/cmd/spikebox-lab/actor"
	"github.com/spikebox/spikebox/cmd/spikebox-lab/lab"
)

var udpFrozen = &lab.Incident{
	Name: "udp-frozen",
	Doc:  "a service that is asked by UDP is stopped; the kernel goes on to take its datagrams",
	Story: `
Somebody attached a debugger to radiusd. It has a few logins a second to answer, so that its
receive buffer takes seconds to fill, and until then no counter moves: who logs in waits.`,
	Params: []lab.Param{
		lab.NewLoad("rate", "datagrams per second", "40", "100"),
		lab.NewParam("settle", "how long radiusd reads before the baseline: a socket that is not read is missed once it was, for 10 s", "9s", "11s"),
		lab.Baseline("4s", "10s"),
		lab.Span("6s", "10s"),
	},
	Arm: []string{"--before", "60s", "--after", "2s"},
	Expected: lab.Expected{
		Root:    "udp-stalled",
		Allowed: []string{"udp-rcvbuf", "kernel-drop"},
	},
	Run: runUDPFrozen,
}

// runUDPFrozen stops radiusd by SIGSTOP.
func runUDPFrozen(s *lab.Stage) {
	edge := s.Edge()
	radius := s.Act(edge, "datagrams", "radiusd", actor.Datagrams{Comm: "radiusd", Addr: edge.At(1812)})
	s.Open(443, actor.Server{Comm: "nginx"})
	s.Flood(s.Clients(), actor.Flood{Comm: "logins", To: edge.At(1812), UDP: true, Rate: s.Number("rate")})
	s.Sleep(s.Duration("settle"))

	s.Begin("radiusd is stopped")
	s.Freeze(radius)
	s.Sleep(s.Duration("span"))
}
