//go:build linux

package incident

import (
	"github.com/spikebox/spikebox/cmd/spikebox-lab/actor"
	"github.com/spikebox/spikebox/cmd/spikebox-lab/lab"
)

var slowUpstream = &lab.Incident{
	Name: "slow-upstream",
	Doc:  "a proxy is well, and waits for its upstream as its clients wait for it",
	Story: `
The database behind the proxy takes more than a second for what took a millisecond. The proxy
asks at once and passes every answer on at once; its customers, and whoever looks at the
proxy alone, call it slow.`,
	Params: []lab.Param{
		lab.NewParam("think", "time before each answer of the upstream", "1200ms", "1200ms"),
		lab.Baseline("4s", "10s"),
		lab.Span("6s", "20s"),
	},
	Arm: []string{"--before", "60s", "--after", "1s"},
	Expected: lab.Expected{
		Root:    "slow-upstream",
		Allowed: []string{"slow-application"},
	},
	Run: runSlowUpstream,
}

// runSlowUpstream makes shop-proxy ask db-1 for each answer that it gives. Both networks are as fast as
// ever.
func runSlowUpstream(s *lab.Stage) {
	db := s.Upstream()
	postgres := s.Serve(db, 5432, actor.Server{Comm: "postgres"})
	s.Open(8080, actor.Server{Comm: "shop-proxy", Upstream: db.At(5432)})

	s.Begin("db-1 thinks %v before each answer", s.Duration("think"))
	postgres.Tell("think %v", s.Duration("think"))
	s.Sleep(s.Duration("span"))
}
