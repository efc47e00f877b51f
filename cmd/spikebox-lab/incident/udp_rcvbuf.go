//go:build linux

package incident

import (
	"github.com/spikebox/spikebox/cmd/spikebox-lab/actor"
	"github.com/spikebox/spikebox/cmd/spikebox-lab/lab"
)

var udpRcvbuf = &lab.Incident{
	Name: "udp-rcvbuf",
	Doc:  "a program reads its datagrams too slowly, and its socket's buffer overflows",
	Story: `
The resolver writes each question to a log on a slow disk. Datagrams arrive as ever, its
receive buffer is full, and the kernel drops what does not fit. TCP notices nothing.`,
	Params: []lab.Param{
		lab.NewLoad("rate", "datagrams per second", "2000", "20000"),
		lab.Baseline("4s", "10s"),
		lab.Span("5s", "10s"),
	},
	Arm: []string{"--before", "60s", "--after", "1s"},
	Expected: lab.Expected{
		Root:    "udp-rcvbuf",
		Allowed: []string{"kernel-drop"},
	},
	Run: runUdpRcvbuf,
}

// runUdpRcvbuf has the resolver read a datagram each 50 ms.
func runUdpRcvbuf(s *lab.Stage) {
	edge := s.Edge()
	resolver := s.Act(edge, "datagrams", "resolver", actor.Datagrams{Comm: "resolver", Addr: edge.At(5353)})
	s.Open(443, actor.Server{Comm: "nginx"})
	s.Flood(s.Clients(), actor.Flood{Comm: "questions", To: edge.At(5353), UDP: true, Rate: s.Number("rate")})

	s.Begin("the resolver takes 50 ms for each datagram")
	resolver.Tell("pace 50ms")
	s.Sleep(s.Duration("span"))
}
