//go:build linux

package incident

import (
	"runtime"
	"time"

	"github.com/spikebox/spikebox/cmd/spikebox-lab/actor"
	"github.com/spikebox/spikebox/cmd/spikebox-lab/lab"
)

var healthyBuild = &lab.Incident{
	Name: "healthy-build",
	Doc:  "somebody compiles on the host: nothing is wrong",
	Story: `
A large build keeps every CPU busy for a while, with lower priority than nobody. The server gets its share,
and its customers notice nothing.`,
	Params: []lab.Param{
		lab.NewParam("baseline", "healthy time before the bundle is cut", "6s", "20s"),
	},
	Arm:      []string{"--before", "20s", "--after", "2s"},
	Expected: lab.Expected{Allowed: []string{"cpu-saturated"}},
	Run:      runHealthyBuild,
}

// runHealthyBuild spins on as many threads as there are CPUs.
func runHealthyBuild(s *lab.Stage) {
	s.Open(443, actor.Server{Comm: "nginx"})

	s.Begin("a build begins")
	s.Act(s.Edge(), "burn", "cc1plus", actor.Burn{Comm: "cc1plus", Threads: runtime.NumCPU()})
	s.Sleep(5 * time.Second)
}
