//go:build linux

package incident

import "github.com/spikebox/spikebox/cmd/spikebox-lab/lab"

var forwardedRefused = &lab.Incident{
	Name: "forwarded-refused",
	Doc:  "a service behind a router that is watched has crashed",
	Story: `
The database behind the gateway has crashed, and its host refuses every connection. The gateway forwards the
refusals, as it forwarded the answers before.`,
	Params: []lab.Param{
		lab.NewLoad("rate", "connections per second through the router", "30", "200"),
		lab.Baseline("4s", "10s"),
		lab.Span("8s", "10s"),
	},
	Arm: []string{"--trigger", "forward.refused > 10 for 2s", "--before", "20s", "--after", "3s"},
	Expected: lab.Expected{
		Root:    "connection-refused",
		Allowed: []string{"reset-storm"},
	},
	Run: runForwardedRefused,
}

// runForwardedRefused leaves the server's kernel to answer with RSTs.
func runForwardedRefused(s *lab.Stage) {
	_, postgres := s.Gateway()

	s.Begin("postgres crashes")
	s.Crash(postgres)
	s.Sleep(s.Duration("span"))
}
