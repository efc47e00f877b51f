//go:build linux

package incident

import (
	"time"

	"github.com/spikebox/spikebox/cmd/spikebox-lab/actor"
	"github.com/spikebox/spikebox/cmd/spikebox-lab/lab"
)

var conntrackHog = &lab.Incident{
	Name: "conntrack-hog",
	Doc:  "one client holds far more tracked connections than all others together",
	Story: `
A broken crawler opens connection after connection from one address and closes none.
Connection tracking has room yet, but one source fills most of what is taken.`,
	Params: []lab.Param{
		lab.NewLoad("connections", "that the one client holds", "1500", "20000"),
		lab.Baseline("4s", "10s"),
	},
	Arm: []string{"--before", "60s", "--after", "1s"},
	Expected: lab.Expected{
		Root: "conntrack-hog",
	},
	Run: runConntrackHog,
}

// runConntrackHog makes real connections, all from one address, and holds them.
func runConntrackHog(s *lab.Stage) {
	edge, clients := s.Edge(), s.Clients()
	edge.Track()
	s.Open(443, actor.Server{Comm: "nginx"})

	n := s.Number("connections")
	s.Begin("one client opens %d connections and closes none", n)
	s.Load(clients, edge, 443, actor.Client{
		Group: "crawler", From: lab.Addresses(lab.CrowdNet, 1), Rate: float64(n) / 4, Count: n, Requests: 1, Bytes: 100, Hold: true,
	})
	s.Until("its connections", time.Minute, func() bool { return edge.Count("state.ESTAB") >= int64(n) })
}
