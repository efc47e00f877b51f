//go:build linux

package incident

import (
	"github.com/spikebox/spikebox/cmd/spikebox-lab/actor"
	"github.com/spikebox/spikebox/cmd/spikebox-lab/lab"
)

var appFrozen = &lab.Incident{
	Name: "app-frozen",
	Doc:  "the server process is stopped; the kernel goes on to accept connections for it",
	Story: `
Somebody attached a debugger to shop-api, or its control group was frozen: the process is
there, listens, and does nothing. The kernel completes the handshakes of its clients and
acknowledges their requests, so that every customer is connected and waits.`,
	Params: []lab.Param{
		lab.NewLoad("rate", "connections per second", "20", "300"),
		lab.Baseline("4s", "10s"),
		lab.Span("8s", "20s"),
	},
	Arm: []string{"--before", "60s", "--after", "1s"},
	Expected: lab.Expected{
		Root:    "app-stalled",
		Allowed: []string{"listen-overflow", "slow-application", "tuning", "syn-retransmit", "synack-retransmit", "syn-recv-pileup", "retransmission-burst", "loss-ratio", "rtt-spike", "kernel-drop"},
	},
	Run: runAppFrozen,
}

// runAppFrozen stops the process by SIGSTOP. Only accept(2) shortens an accept queue, and nobody
// calls it. It stays stopped: the recorder lists the processes when it is triggered and when the
// window ends, and one that goes on before has nothing left to show.
func runAppFrozen(s *lab.Stage) {
	api := s.Open(8080, actor.Server{Comm: "shop-api"})
	s.Load(s.Clients(), s.Edge(), 8080, actor.Client{Group: "visitors", Rate: s.Rate("rate"), Requests: 1})

	s.Begin("shop-api is stopped")
	s.Freeze(api)
	s.Sleep(s.Duration("span"))
}
