//go:build linux

package incident

import (
	"github.com/spikebox/spikebox/cmd/spikebox-lab/actor"
	"github.com/spikebox/spikebox/cmd/spikebox-lab/lab"
)

var healthyFullSpeed = &lab.Incident{
	Name: "healthy-full-speed",
	Doc:  "clients ask as fast as they are answered: nothing is wrong",
	Story: `
A load test, or the first minutes of a sale: some clients ask without a pause and the server
answers as fast as it can. The processors are busy and nobody waits for long.`,
	Params: []lab.Param{
		lab.NewLoad("clients", "that ask without a pause", "6", "50"),
		lab.NewParam("baseline", "healthy time before the bundle is cut", "6s", "20s"),
	},
	Arm:      []string{"--before", "20s", "--after", "2s"},
	Expected: lab.Expected{},
	Run:      runHealthyFullSpeed,
}

// runHealthyFullSpeed keeps all connections open and busy.
func runHealthyFullSpeed(s *lab.Stage) {
	s.Open(443, actor.Server{Comm: "nginx"})
	s.Load(s.Clients(), s.Edge(), 443, actor.Client{Group: "eager", Count: s.Number("clients"), Bytes: 4000})

	s.Begin("nothing happens")
}
