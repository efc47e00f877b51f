//go:build linux

package incident

import (
	"github.com/spikebox/spikebox/cmd/spikebox-lab/actor"
	"github.com/spikebox/spikebox/cmd/spikebox-lab/lab"
)

var memoryPressure = &lab.Incident{
	Name: "memory-pressure",
	Doc:  "a container's memory is too small for what it reads again and again",
	Story: `
A new limit gives the search index less memory than the pages that it needs at once. Each that it reads
has to be made room for first, by throwing away one that it needs next.`,
	Params: []lab.Param{
		lab.NewParam("threads", "that read", "4", "8"),
		lab.Baseline("4s", "10s"),
		lab.Span("8s", "20s"),
	},
	Arm: []string{"--trigger", "psi.memory > 20% for 2s", "--before", "60s", "--after", "1s"},
	Expected: lab.Expected{
		Root:    "memory-pressure",
		Allowed: []string{"cpu-saturated"},
	},
	Run: runMemoryPressure,
}

// runMemoryPressure has the limit of one group make its own tasks wait, which the machine's pressure shows: nobody
// else's memory is touched, and no disk (mm/memcontrol.c, try_charge_memcg, psi_memstall_enter).
func runMemoryPressure(s *lab.Stage) {
	s.Open(443, actor.Server{Comm: "nginx"})
	const limit = 24 << 20
	index := s.Read(s.Edge(), "index", 4*limit, s.Number("threads"))
	s.Cramp(index, limit)

	s.Begin("the index is searched, in a quarter of the memory that it needs")
	index.Tell("begin")
	s.Sleep(s.Duration("span"))
}
