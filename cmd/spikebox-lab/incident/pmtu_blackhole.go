//go:build linux

package incident

import (
	"github.com/spikebox/spikebox/cmd/spikebox-lab/actor"
	"github.com/spikebox/spikebox/cmd/spikebox-lab/lab"
)

var pmtuBlackhole = &lab.Incident{
	Name: "pmtu-blackhole",
	Doc:  "packets above some size vanish on the way to one network, and nobody says so",
	Story: `
The clients of one network are behind a new tunnel that carries 1400 bytes, and a firewall
that lets no ICMP out. They connect, ask, and get nothing: full segments vanish, and are sent
again and again. Pages of a few hundred bytes work.`,
	Params: []lab.Param{
		lab.NewLoad("rate", "connections per second behind the tunnel", "30", "300"),
		lab.Baseline("4s", "10s"),
		lab.Span("8s", "10s"),
	},
	Arm: []string{"--before", "60s", "--after", "1s"},
	Expected: lab.Expected{
		Root:    "pmtu-blackhole",
		Allowed: []string{"slow-application", "peer-vanished", "syn-retransmit", "synack-retransmit", "syn-recv-pileup", "retransmission-burst", "loss-ratio", "rtt-spike", "kernel-drop"},
	},
	Run: runPmtuBlackhole,
}

// runPmtuBlackhole drops by size on the router and sends no ICMP (RFC 2923 section 2.1). Answers of 8000
// bytes are full segments; handshakes and requests pass.
func runPmtuBlackhole(s *lab.Stage) {
	s.Open(443, actor.Server{Comm: "nginx"})
	s.Load(s.Clients(), s.Edge(), 443, actor.Client{Group: "tunnel", Rate: s.Rate("rate"), Requests: 1, Bytes: 8000})

	s.Begin("the router drops packets of more than 1400 bytes to %s", lab.CrowdNet)
	s.Router().Drop(lab.Forward, lab.To(lab.CrowdNet), lab.Longer(1400))
	s.Sleep(s.Duration("span"))
}
