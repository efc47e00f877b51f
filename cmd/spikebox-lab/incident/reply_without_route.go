//go:build linux

package incident

import (
	"github.com/spikebox/spikebox/cmd/spikebox-lab/actor"
	"github.com/spikebox/spikebox/cmd/spikebox-lab/lab"
)

var replyWithoutRoute = &lab.Incident{
	Name: "reply-without-route",
	Doc:  "the server loses its default route: it answers its own networks, and nobody else",
	Story: `
A change of the network's configuration took the default route away. Clients of the networks
that have a route of their own are served as ever; from everybody else SYNs arrive, and the
kernel has nowhere to send the answer.`,
	Params: []lab.Param{
		lab.NewLoad("crowd", "clients without a way back", "40", "400"),
		lab.Baseline("4s", "10s"),
		lab.Span("6s", "8s"),
	},
	Arm: []string{"--before", "60s", "--after", "1s"},
	Expected: lab.Expected{
		Root: "no-route",
		// ListenDrops counts these SYNs as well, which listen-overflow takes for its own.
		Allowed: []string{"listen-overflow", "syn-retransmit", "synack-retransmit", "syn-recv-pileup", "retransmission-burst", "loss-ratio", "rtt-spike", "kernel-drop"},
	},
	Run: runReplyWithoutRoute,
}

// runReplyWithoutRoute leaves a route to the healthy clients. The answer to a SYN is looked up before a
// request socket is made (net/ipv4/tcp_input.c, tcp_conn_request: route_req), so that the SYN
// is dropped there; where rp_filter is on it is dropped before.
func runReplyWithoutRoute(s *lab.Stage) {
	edge := s.Edge()
	s.Open(443, actor.Server{Comm: "nginx"})

	s.Begin("edge-1 loses its default route")
	edge.LoseDefaultRoute(lab.HealthyNet)
	s.Crowd(443)
	s.Sleep(s.Duration("span"))
}
