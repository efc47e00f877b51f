//go:build linux

package incident

import (
	"time"

	"github.com/spikebox/spikebox/cmd/spikebox-lab/actor"
	"github.com/spikebox/spikebox/cmd/spikebox-lab/lab"
)

var healthyDeferred = &lab.Incident{
	Name: "healthy-deferred",
	Doc:  "a server with TCP_DEFER_ACCEPT, and browsers that connect ahead of need: nothing is wrong",
	Story: `
The server accepts a connection when its first request is there (TCP_DEFER_ACCEPT). Browsers
open connections ahead of need and say nothing for seconds: until then each is half-open, and
its SYN-ACK is repeated once.`,
	Params: []lab.Param{
		lab.NewLoad("rate", "connections per second that wait for three seconds", "5", "30"),
		lab.NewParam("baseline", "healthy time before the bundle is cut", "6s", "20s"),
	},
	Arm: []string{"--before", "20s", "--after", "2s"},
	// The first round trip of a deferred connection holds the client's own pause.
	Expected: lab.Expected{Allowed: []string{"rtt-spike"}},
	Run:      runHealthyDeferred,
}

// runHealthyDeferred defers for five seconds (net/ipv4/inet_connection_sock.c, syn_ack_recalc).
func runHealthyDeferred(s *lab.Stage) {
	s.Open(443, actor.Server{Comm: "nginx", Defer: 5})
	s.Load(s.Clients(), s.Edge(), 443, actor.Client{Group: "ahead", Rate: s.Rate("rate"), Requests: 1, Shy: 3 * time.Second})

	s.Begin("nothing happens")
}
