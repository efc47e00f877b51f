//go:build linux

package lab

import (
	"time"

	"github.com/spikebox/spikebox/cmd/spikebox-lab/actor"
)

var zeroWindow = &Incident{
	Name: "zero-window",
	Doc:  "some clients stop reading in the middle of a download",
	Story: `
A backup client's disk is full. It stops reading in the middle of each download; its
receive window closes, and the server sends nothing but window probes. Server and
network could do more: it is the reader that stands still.`,
	Params: []Param{
		{"readers", "that stand still", "6", "60"},
		{"nap", "how long each stands still", "20s", "20s"},
		{"baseline", "healthy time before the incident", "4s", "10s"},
		{"span", "how long it goes on before the bundle is cut", "6s", "10s"},
	},
	Arm: []string{"--before", "15s", "--after", "1s"},
	Expected: Expected{
		Root: "zero-window",
	},
	run: runZeroWindow,
}

// runZeroWindow gives each reader an answer larger than any receive buffer, of which it
// reads only the first bytes. Its kernel closes the window (TCPToZeroWindowAdv), and the
// server's persist timer begins to probe it (net/ipv4/tcp_timer.c, tcp_probe_timer).
func runZeroWindow(s *stage) {
	edge, net := s.edge(), s.clients()
	web := s.serve(edge, 443, actor.Server{Comm: "nginx"})
	s.arm(edge)
	customers := s.customers(net, edge, 443)
	s.sleep(s.duration("baseline"))

	s.begin("%d clients download and stop reading", s.number("readers"))
	readers := s.load(net, edge, 443, actor.Client{
		Group: "readers", Comm: "backup", From: addresses(crowdNet, 6), Rate: 10, Count: s.number("readers"),
		Requests: 1, Bytes: 8 << 20, Nap: s.duration("nap"),
	})
	s.sleep(s.duration("span"))
	s.cut()
	s.collect(30 * time.Second)
	s.leave(customers, readers, web)
}
