//go:build linux

package incident

import (
	"time"

	"github.com/spikebox/spikebox/cmd/spikebox-lab/actor"
	"github.com/spikebox/spikebox/cmd/spikebox-lab/lab"
)

var healthyTcpdump = &lab.Incident{
	Name: "healthy-tcpdump",
	Doc:  "somebody starts tcpdump: nothing is wrong",
	Story: `
An engineer looks at the traffic with tcpdump. Each packet is copied once more, and the customers notice
nothing.`,
	Params: []lab.Param{
		lab.NewParam("baseline", "healthy time before the bundle is cut", "6s", "20s"),
	},
	Arm:      []string{"--before", "20s", "--after", "2s"},
	Expected: lab.Expected{Allowed: []string{"cpu-saturated"}},
	Run:      runHealthyTcpdump,
}

// runHealthyTcpdump opens a packet socket for all protocols, without a filter.
func runHealthyTcpdump(s *lab.Stage) {
	s.Open(443, actor.Server{Comm: "nginx"})

	s.Begin("tcpdump starts")
	s.Act(s.Edge(), "sniff", "tcpdump", actor.Sniff{Comm: "tcpdump"})
	s.Sleep(5 * time.Second)
}
