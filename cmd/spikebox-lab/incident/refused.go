//go:build linux

package incident

import (
	"github.com/spikebox/spikebox/cmd/spikebox-lab/actor"
	"github.com/spikebox/spikebox/cmd/spikebox-lab/lab"
)

var refused = &lab.Incident{
	Name: "refused",
	Doc:  "clients connect to a port where nobody listens any more",
	Story: `
payments has crashed and is not restarted. Every connection to its port is refused with
a reset at once; the web server beside it is well.`,
	Params: []lab.Param{
		lab.NewLoad("rate", "connections per second to the dead port", "40", "400"),
		lab.Baseline("4s", "10s"),
	},
	Arm: []string{"--trigger", "resets > 10", "--before", "20s", "--after", "3s"},
	Expected: lab.Expected{
		Root:    "connection-refused",
		Allowed: []string{"reset-storm", "kernel-drop"},
	},
	Run: runRefused,
}

// runRefused kills the process, and with it its listener: the kernel answers each SYN to
// the port with a reset (net/ipv4/tcp_ipv4.c, tcp_v4_rcv, no_tcp_socket). Each is one of
// OutRsts.
func runRefused(s *lab.Stage) {
	payments := s.Serve(s.Edge(), 8443, actor.Server{Comm: "payments"})
	s.Open(443, actor.Server{Comm: "nginx"})
	s.Load(s.Clients(), s.Edge(), 8443, actor.Client{Group: "payers", Rate: s.Rate("rate"), Requests: 1})

	s.Begin("payments crashes")
	s.Crash(payments)
}
