//go:build linux

package incident

import (
	"github.com/spikebox/spikebox/cmd/spikebox-lab/actor"
	"github.com/spikebox/spikebox/cmd/spikebox-lab/lab"
)

var upstreamBreaksOff = &lab.Incident{
	Name: "upstream-breaks-off",
	Doc:  "an upstream closes the connections of a proxy in place of an answer",
	Story: `
The workers of the application behind shop-proxy die at each request, and its master goes on to accept: the
connection ends with a FIN and nothing else. Nothing is late, nothing is reset, no counter
moves; customers read 502.`,
	Params: []lab.Param{
		lab.NewLoad("rate", "requests per second", "30", "300"),
		lab.Baseline("4s", "10s"),
		lab.Span("5s", "10s"),
	},
	Arm: []string{"--before", "60s", "--after", "1s"},
	Expected: lab.Expected{
		Root:    "slow-upstream",
		Allowed: []string{"slow-application"},
	},
	Run: runUpstreamBreaksOff,
}

// runUpstreamBreaksOff has shop-api take each request of shop-proxy, and close.
func runUpstreamBreaksOff(s *lab.Stage) {
	app := s.Upstream()
	api := s.Serve(app, 9000, actor.Server{Comm: "shop-api"})
	s.Open(8080, actor.Server{Comm: "shop-proxy", Upstream: app.At(9000)})
	s.Load(s.Clients(), s.Edge(), 8080, actor.Client{Group: "visitors", Rate: s.Rate("rate"), Requests: 1})

	s.Begin("shop-api breaks off in place of each answer")
	api.Tell("manner %s", actor.MannerBreak)
	s.Sleep(s.Duration("span"))
}
