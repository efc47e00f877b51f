//go:build linux

package incident

import (
	"runtime"
	"time"

	"github.com/spikebox/spikebox/cmd/spikebox-lab/actor"
	"github.com/spikebox/spikebox/cmd/spikebox-lab/lab"
)

var healthyCron = &lab.Incident{
	Name: "healthy-cron",
	Doc:  "a dozen jobs begin in the same second: nothing is wrong",
	Story: `
It is the full hour. A dozen jobs begin at once, each takes the CPU for a moment and asks the database
for something.`,
	Params: []lab.Param{
		lab.NewLoad("jobs", "that begin at once", "12", "100"),
		lab.NewParam("baseline", "healthy time before the bundle is cut", "6s", "20s"),
	},
	Arm:      []string{"--before", "20s", "--after", "2s"},
	Expected: lab.Expected{Allowed: []string{"cpu-saturated"}},
	Run:      runHealthyCron,
}

// runHealthyCron connects all jobs within a moment.
func runHealthyCron(s *lab.Stage) {
	s.Open(443, actor.Server{Comm: "nginx"})
	s.Serve(s.Upstream(), 5432, actor.Server{Comm: "postgres"})

	s.Begin("the jobs of the full hour begin")
	s.Act(s.Edge(), "burn", "cron", actor.Burn{Comm: "cron", Threads: runtime.NumCPU(), For: 500 * time.Millisecond})
	s.Load(s.Edge(), s.Upstream(), 5432, actor.Client{Group: "jobs", Count: s.Number("jobs"), Requests: 3})
	s.Sleep(3 * time.Second)
}
