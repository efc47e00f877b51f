//go:build linux

package incident

import (
	"time"

	"github.com/spikebox/spikebox/cmd/spikebox-lab/actor"
	"github.com/spikebox/spikebox/cmd/spikebox-lab/lab"
)

var healthyDeploy = &lab.Incident{
	Name: "healthy-deploy",
	Doc:  "a service is restarted: its connections are reset, and a second later it is back",
	Story: `
A new release of shop-api. The old process ends, with all of its connections, and the new one
listens a moment later. Whoever was in the middle of something tries again: that is a deploy,
and no incident.`,
	Params: []lab.Param{
		lab.NewLoad("rate", "connections per second", "30", "300"),
		lab.NewParam("baseline", "healthy time before the bundle is cut", "6s", "20s"),
	},
	Arm:      []string{"--before", "20s", "--after", "2s"},
	Expected: lab.Expected{},
	Run:      runHealthyDeploy,
}

// runHealthyDeploy kills the process, for the kernel to reset what it had open, and starts another.
func runHealthyDeploy(s *lab.Stage) {
	api := s.Open(8080, actor.Server{Comm: "shop-api"})
	s.Load(s.Clients(), s.Edge(), 8080, actor.Client{Group: "visitors", Rate: s.Rate("rate"), Requests: 3, Gap: 200 * time.Millisecond})

	s.Begin("shop-api is restarted")
	s.Crash(api)
	s.Sleep(200 * time.Millisecond)
	s.Serve(s.Edge(), 8080, actor.Server{Comm: "shop-api"})
}
