//go:build linux

package incident

import (
	"time"

	"github.com/spikebox/spikebox/cmd/spikebox-lab/actor"
	"github.com/spikebox/spikebox/cmd/spikebox-lab/lab"
)

var echoDelayed = &lab.Incident{
	Name: "echo-delayed",
	Doc:  "the host answers pings more than a second late: they wait in its own full queue",
	Story: `
Somebody pings the server and gets replies after more than a second, from one second
to the next. A capture on the server shows the requests arrive in time and the replies
leave late: the second is lost on this host. It is the queue of its own interface,
filled by a stream of datagrams, and connections wait in it as well.`,
	Params: []lab.Param{
		lab.NewParam("rate", "bytes per second that eth0 lets through", "200000", "2000000"),
		lab.Baseline("4s", "10s"),
		lab.Span("6s", "20s"),
	},
	// A packet socket has the replies as they leave the queue; by tcx they are seen before it, and
	// prompt (see package capture).
	Arm: []string{"--capture", "tpacket", "--before", "60s", "--after", "1s"},
	Expected: lab.Expected{
		Root:  "echo-delayed",
		ByTCX: "qdisc-backlog",
		Allowed: []string{"rtt-spike", "retransmission-burst", "synack-retransmit", "syn-retransmit", "slow-application",
			"qdisc-drop", "loss-ratio"},
	},
	Run: runEchoDelayed,
}

// runEchoDelayed delays what the host sends, above its tap (see runQdiscDrop): a capture
// has the request in time and the reply when it leaves. A burst enters the queue at once
// and drains at the shaped rate, so the pings sent meanwhile are answered in one bunch,
// the first of them the latest.
func runEchoDelayed(s *lab.Stage) {
	edge := s.Edge()
	s.Open(443, actor.Server{Comm: "nginx", Watch: 100 * time.Millisecond})
	s.Pings(s.Clients(), edge)

	// Every two seconds 1.5 seconds' worth of datagrams of 42 bytes enter the queue,
	// which has room for them: it grows and shrinks, and drops nothing.
	rate := s.Number("rate")
	burst := rate * 3 / 2 / 42
	s.Begin("eth0 of edge-1 is limited to %d bytes per second; %d datagrams enter its queue every 2 s", rate, burst)
	edge.Shape("eth0", uint64(rate), uint32(8*rate))
	s.Flood(edge, actor.Flood{Comm: "exporter", To: lab.Addresses(lab.SpoofNet, 1)[0] + ":9999",
		Net: edge.Addr + "/32", UDP: true, Rate: burst / 2, Burst: burst})
	s.Sleep(s.Duration("span"))
}
