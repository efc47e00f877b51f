//go:build linux

package incident

import (
	"github.com/spikebox/spikebox/cmd/spikebox-lab/actor"
	"github.com/spikebox/spikebox/cmd/spikebox-lab/lab"
)

var zeroWindow = &lab.Incident{
	Name: "zero-window",
	Doc:  "some clients stop reading in the middle of a download",
	Story: `
A backup client's disk is full. It stops reading in the middle of each download; its
receive window closes, and the server sends nothing but window probes. Server and
network could do more: it is the reader that stands still.`,
	Params: []lab.Param{
		lab.NewLoad("readers", "that stand still", "6", "60"),
		lab.NewParam("nap", "how long each stands still", "20s", "20s"),
		lab.Baseline("4s", "10s"),
		lab.Span("6s", "10s"),
	},
	Arm: []string{"--before", "60s", "--after", "1s"},
	Expected: lab.Expected{
		Root: "zero-window",
	},
	Run: runZeroWindow,
}

// runZeroWindow gives each reader an answer larger than any receive buffer, of which it
// reads only the first bytes. Its kernel closes the window (TCPToZeroWindowAdv), and the
// server's persist timer begins to probe it (net/ipv4/tcp_timer.c, tcp_probe_timer).
func runZeroWindow(s *lab.Stage) {
	edge, clients := s.Edge(), s.Clients()
	s.Open(443, actor.Server{Comm: "nginx"})

	s.Begin("%d clients download and stop reading", s.Number("readers"))
	s.Load(clients, edge, 443, actor.Client{
		Group: "readers", Comm: "backup", From: lab.Addresses(lab.CrowdNet, 6), Rate: 10, Count: s.Number("readers"),
		Requests: 1, Bytes: 8 << 20, Nap: s.Duration("nap"),
	})
	s.Sleep(s.Duration("span"))
}
