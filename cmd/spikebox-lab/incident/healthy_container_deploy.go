//go:build linux

package incident

import (
	"time"

	"github.com/spikebox/spikebox/cmd/spikebox-lab/actor"
	"github.com/spikebox/spikebox/cmd/spikebox-lab/lab"
)

var healthyContainerDeploy = &lab.Incident{
	Name: "healthy-container-deploy",
	Doc:  "a container is replaced by a new one: nothing is wrong",
	Story: `
A new release of shop-api. Its container is started, takes over the port that the host publishes, and a moment
later the old one ends, with what it had open.`,
	Params: []lab.Param{
		lab.NewLoad("rate", "connections per second", "30", "300"),
		lab.NewParam("baseline", "healthy time before the bundle is cut", "6s", "20s"),
	},
	Arm:      []string{"--before", "20s", "--after", "2s"},
	Expected: lab.Expected{},
	Run:      runHealthyContainerDeploy,
}

// runHealthyContainerDeploy moves the published port, and kills the old process.
func runHealthyContainerDeploy(s *lab.Stage) {
	edge := s.Edge()
	old, next := s.Container(edge, 1), s.Container(edge, 2)
	api := s.Serve(old, 8080, actor.Server{Comm: "shop-api"})
	edge.Publish(8080, old)
	s.Arm(edge)
	s.Load(s.Clients(), edge, 8080, actor.Client{Group: "visitors", Rate: s.Rate("rate"), Requests: 3, Gap: 200 * time.Millisecond})

	s.Begin("shop-api is deployed")
	s.Serve(next, 8080, actor.Server{Comm: "shop-api"})
	edge.Publish(8080, next)
	s.Sleep(200 * time.Millisecond)
	s.Crash(api)
}
