//go:build linux

package incident

import (
	"github.com/spikebox/spikebox/cmd/spikebox-lab/actor"
	"github.com/spikebox/spikebox/cmd/spikebox-lab/lab"
)

var peersVanish = &lab.Incident{
	Name: "peers-vanish",
	Doc:  "a whole network of clients is gone from one moment to the next",
	Story: `
A line was cut. Every client of one network is gone, in the middle of what it downloads, and
nobody says goodbye: the server sends again, after ever longer pauses, and keeps what it holds
for them for a quarter of an hour.`,
	Params: []lab.Param{
		lab.NewLoad("downloads", "that are cut off", "40", "200"),
		lab.Baseline("4s", "10s"),
		lab.Span("8s", "20s"),
	},
	Arm: []string{"--before", "60s", "--after", "1s"},
	Expected: lab.Expected{
		Root:    "peer-vanished",
		Allowed: []string{"syn-retransmit", "synack-retransmit", "syn-recv-pileup", "retransmission-burst", "loss-ratio", "rtt-spike", "kernel-drop"},
	},
	Run: runPeersVanish,
}

// runPeersVanish drops both directions on the router. What is under way then is repeated by timeout:
// after 200 ms and a round trip, and twice as late each time (RFC 6298 section 5.5).
func runPeersVanish(s *lab.Stage) {
	s.Open(443, actor.Server{Comm: "nginx"})
	s.Load(s.Clients(), s.Edge(), 443, actor.Client{Group: "downloads", Comm: "mirror", Count: s.Number("downloads"), Bytes: 1 << 20})

	s.Begin("the line to %s is cut", lab.CrowdNet)
	s.Router().Drop(lab.Forward, lab.From(lab.CrowdNet))
	s.Router().Drop(lab.Forward, lab.To(lab.CrowdNet))
	s.Sleep(s.Duration("span"))
}
