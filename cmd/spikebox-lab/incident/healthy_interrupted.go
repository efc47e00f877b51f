//go:build linux

package incident

import (
	"github.com/spikebox/spikebox/cmd/spikebox-lab/actor"
	"github.com/spikebox/spikebox/cmd/spikebox-lab/lab"
)

var healthyInterrupted = &lab.Incident{
	Name: "healthy-interrupted",
	Doc:  "downloads are broken off by their users: nothing is wrong",
	Story: `
Somebody presses Ctrl-C in the middle of some downloads. Their kernels answer what still
arrives with resets.`,
	Params: []lab.Param{
		lab.NewLoad("downloads", "that are broken off", "5", "20"),
		lab.NewParam("baseline", "healthy time before the bundle is cut", "6s", "20s"),
	},
	Arm:      []string{"--before", "20s", "--after", "2s"},
	Expected: lab.Expected{},
	Run:      runHealthyInterrupted,
}

// runHealthyInterrupted kills the clients in the middle of what they read.
func runHealthyInterrupted(s *lab.Stage) {
	s.Open(443, actor.Server{Comm: "nginx"})
	mirror := s.Load(s.Clients(), s.Edge(), 443, actor.Client{Group: "downloads", Comm: "mirror", Count: s.Number("downloads"), Bytes: 8 << 20})

	s.Begin("the downloads are broken off")
	s.Crash(mirror)
}
