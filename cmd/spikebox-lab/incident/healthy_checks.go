//go:build linux

package incident

import (
	"github.com/spikebox/spikebox/cmd/spikebox-lab/actor"
	"github.com/spikebox/spikebox/cmd/spikebox-lab/lab"
)

var healthyChecks = &lab.Incident{
	Name: "healthy-checks",
	Doc:  "a proxy checks an upstream that is down for long: nothing is wrong",
	Story: `
One server of the pool has been out for repair since last week. The proxy asks at its port
twice a second whether it is back, and is refused.`,
	Params: []lab.Param{
		lab.NewParam("baseline", "healthy time before the bundle is cut", "6s", "20s"),
	},
	Arm:      []string{"--before", "20s", "--after", "2s"},
	Expected: lab.Expected{},
	Run:      runHealthyChecks,
}

// runHealthyChecks has the proxy connect to a port where nobody listens.
func runHealthyChecks(s *lab.Stage) {
	s.Open(443, actor.Server{Comm: "nginx"})
	s.Load(s.Edge(), s.Upstream(), 5433, actor.Client{Group: "checks", Comm: "haproxy", Rate: 2, Requests: 1})

	s.Begin("nothing happens")
}
