//go:build linux

package lab

import (
	"time"

	"github.com/spikebox/spikebox/cmd/spikebox-lab/actor"
)

var refused = &Incident{
	Name: "refused",
	Doc:  "clients connect to a port where nobody listens any more",
	Story: `
payments has crashed and is not restarted. Every connection to its port is refused with
a reset at once; the web server beside it is well.`,
	Params: []Param{
		{"rate", "connections per second to the dead port", "40", "400"},
		{"baseline", "healthy time before the incident", "4s", "10s"},
	},
	Arm: []string{"--trigger", "resets > 10", "--before", "10s", "--after", "3s"},
	Expected: Expected{
		Root:    "connection-refused",
		Allowed: []string{"reset-storm", "kernel-drop"},
	},
	run: runRefused,
}

// runRefused kills the process, and with it its listener: the kernel answers each SYN to
// the port with a reset (net/ipv4/tcp_ipv4.c, tcp_v4_rcv, no_tcp_socket). Each is one of
// OutRsts.
func runRefused(s *stage) {
	edge, net := s.edge(), s.clients()
	web := s.serve(edge, 443, actor.Server{Comm: "nginx"})
	payments := s.serve(edge, 8443, actor.Server{Comm: "payments"})
	s.arm(edge)
	customers := s.customers(net, edge, 443)
	payers := s.load(net, edge, 8443, actor.Client{
		Group: "payers", From: addresses(crowdNet, 20), Rate: float64(s.number("rate")), Requests: 1,
	})
	s.sleep(s.duration("baseline"))

	s.begin("payments crashes")
	s.crash(payments)
	s.collect(60 * time.Second)
	s.leave(customers, payers, web)
}
