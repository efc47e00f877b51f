//go:build linux

package incident

import (
	"github.com/spikebox/spikebox/cmd/spikebox-lab/actor"
	"github.com/spikebox/spikebox/cmd/spikebox-lab/lab"
)

var resetStorm = &lab.Incident{
	Name: "reset-storm",
	Doc:  "a server resets its connections in place of answering",
	Story: `
A guard in front of shop-api has lost its configuration. It accepts every connection,
reads the request, and resets the connection in place of an answer.`,
	Params: []lab.Param{
		lab.NewLoad("rate", "connections per second", "50", "500"),
		lab.Baseline("4s", "10s"),
	},
	Arm: []string{"--trigger", "resets > 10", "--before", "20s", "--after", "4s"},
	Expected: lab.Expected{
		Root: "reset-storm",
	},
	Run: runResetStorm,
}

// runResetStorm lets the server close with SO_LINGER 0, which sends RST in place of FIN
// (net/ipv4/tcp.c, __tcp_close). The connections were established, so both sides count
// EstabResets, and the request had been read: nothing of it is a refused connection.
func runResetStorm(s *lab.Stage) {
	guard := s.Serve(s.Edge(), 8080, actor.Server{Comm: "api-guard"})
	s.Open(443, actor.Server{Comm: "nginx"})
	s.Load(s.Clients(), s.Edge(), 8080, actor.Client{Group: "callers", Rate: s.Rate("rate"), Requests: 1})

	s.Begin("api-guard resets every connection after its request")
	guard.Tell("manner %s", actor.MannerReset)
}
