//go:build linux

package incident

import (
	"time"

	"github.com/spikebox/spikebox/cmd/spikebox-lab/actor"
	"github.com/spikebox/spikebox/cmd/spikebox-lab/lab"
)

var slowApplication = &lab.Incident{
	Name: "slow-application",
	Doc:  "the server thinks long before each answer, while the network is as fast as ever",
	Story: `
A query plan has changed, and shop-api takes most of a second for what took a
millisecond. Customers call it a network problem; the network's round trips are as
short as before.`,
	Params: []lab.Param{
		lab.NewParam("think", "time before each answer", "800ms", "800ms"),
		lab.Baseline("5s", "10s"),
		lab.Span("6s", "20s"),
	},
	Arm: []string{"--before", "60s", "--after", "1s"},
	Expected: lab.Expected{
		Root: "slow-application",
	},
	Run: runSlowApplication,
}

// runSlowApplication changes nothing but the time between request and answer. The
// server's Watch shows that its round trips stay what they were.
func runSlowApplication(s *lab.Stage) {
	api := s.Open(8080, actor.Server{Comm: "shop-api", Watch: 100 * time.Millisecond})

	s.Begin("shop-api thinks %v before each answer", s.Duration("think"))
	api.Tell("think %v", s.Duration("think"))
	s.Sleep(s.Duration("span"))
}
