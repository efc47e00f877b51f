//go:build linux

package incident

import (
	"time"

	"github.com/spikebox/spikebox/cmd/spikebox-lab/actor"
	"github.com/spikebox/spikebox/cmd/spikebox-lab/lab"
)

var healthyMorning = &lab.Incident{
	Name: "healthy-morning",
	Doc:  "night becomes day: ten times the customers within half a minute; nothing is wrong",
	Story: `
Shops open, and within minutes, which are seconds here, ten times as many customers come as in the night. All
of them are served.`,
	Params: []lab.Param{
		lab.NewLoad("rate", "connections per second that come in addition, in the end", "90", "900"),
		lab.NewParam("baseline", "healthy time before the bundle is cut", "6s", "20s"),
	},
	Arm:      []string{"--before", "20s", "--after", "2s"},
	Expected: lab.Expected{Allowed: []string{"cpu-saturated"}},
	Run:      runHealthyMorning,
}

// runHealthyMorning adds a ninth of the customers a second.
func runHealthyMorning(s *lab.Stage) {
	s.Open(443, actor.Server{Comm: "nginx"})

	s.Begin("customers come")
	for range 9 {
		s.Load(s.Clients(), s.Edge(), 443, actor.Client{Group: "day", Rate: s.Rate("rate") / 9, Requests: 3, Gap: 100 * time.Millisecond})
		s.Sleep(time.Second)
	}
}
