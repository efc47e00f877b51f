//go:build linux

package incident

import (
	"time"

	"github.com/spikebox/spikebox/cmd/spikebox-lab/actor"
	"github.com/spikebox/spikebox/cmd/spikebox-lab/lab"
)

var cpuStarved = &lab.Incident{
	Name: "cpu-starved",
	Doc:  "a container's CPU limit is far below what its server needs",
	Story: `
A new limit gives shop-api a thousandth of a CPU. It runs for a moment in each second, and then waits
for the next one, with all that its customers have asked meanwhile. The machine is idle.`,
	Params: []lab.Param{
		lab.NewParam("run", "CPU time that shop-api has in each second", "1ms", "1ms"),
		lab.Baseline("4s", "10s"),
		lab.Span("8s", "20s"),
	},
	Arm: []string{"--before", "60s", "--after", "4s"},
	Expected: lab.Expected{
		Root:    "cpu-throttled",
		Effects: []string{"slow-application"},
		Allowed: []string{"cpu-saturated", "app-stalled", "listen-overflow", "tuning", "rtt-spike", "syn-retransmit", "syn-recv-pileup"},
	},
	Run: runCPUStarved,
}

// runCPUStarved has the kernel's bandwidth control take the CPU away (kernel/sched/fair.c,
// throttle_cfs_rq), from nobody but the server.
func runCPUStarved(s *lab.Stage) {
	api := s.Open(8080, actor.Server{Comm: "shop-api"})

	s.Begin("shop-api may run for %v in each second", s.Duration("run"))
	s.Throttle(api, s.Duration("run"), time.Second)
	s.Sleep(s.Duration("span"))
}
