//go:build linux

package incident

import (
	"github.com/spikebox/spikebox/cmd/spikebox-lab/actor"
	"github.com/spikebox/spikebox/cmd/spikebox-lab/lab"
)

var healthyScan = &lab.Incident{
	Name: "healthy-scan",
	Doc:  "somebody tries every port: nothing is wrong",
	Story: `
Somebody on the internet tries one port after another, some hundred a second, as somebody
always does. The kernel answers each with a reset, and the customers notice nothing.`,
	Params: []lab.Param{
		lab.NewLoad("rate", "ports tried per second", "200", "1000"),
		lab.NewParam("baseline", "healthy time before the bundle is cut", "6s", "20s"),
	},
	Arm:      []string{"--before", "20s", "--after", "2s"},
	Expected: lab.Expected{},
	Run:      runHealthyScan,
}

// runHealthyScan asks at ports where nobody listens, from one address, a few ports again and again.
func runHealthyScan(s *lab.Stage) {
	s.Open(443, actor.Server{Comm: "nginx"})
	for port := 20; port < 24; port++ {
		s.Load(s.Clients(), s.Edge(), port, actor.Client{Group: "scanner", From: lab.Addresses(lab.CrowdNet, 1),
			Rate: s.Rate("rate") / 4, Requests: 1})
	}

	s.Begin("nothing happens")
}
