//go:build linux

package incident

import (
	"time"

	"github.com/spikebox/spikebox/cmd/spikebox-lab/actor"
	"github.com/spikebox/spikebox/cmd/spikebox-lab/lab"
)

var rttSpikeAll = &lab.Incident{
	Name: "rtt-spike-all",
	Doc:  "the uplink is shaped to less than is sent: its long queue delays every flow",
	Story: `
The uplink of the site is suddenly worth a tenth of its bandwidth. Nothing is lost,
for the router before it has a very long queue; downloads fill that queue, and every
packet to every client waits in it for hundreds of milliseconds.`,
	Params: []lab.Param{
		lab.NewParam("rate", "bytes per second that the uplink has left", "1000000", "10000000"),
		lab.NewLoad("downloads", "that fill the queue", "8", "80"),
		lab.Baseline("4s", "10s"),
	},
	Arm: []string{"--rtt", "200ms", "--before", "20s", "--after", "3s"},
	Expected: lab.Expected{
		Root: "rtt-spike",
		// A delay that grows faster than the timers learn of it makes spurious
		// retransmissions, by timeout and by tail-loss probe.
		Allowed: []string{"retransmission-burst", "syn-retransmit", "synack-retransmit"},
	},
	Run: runRTTSpikeAll,
}

// runRTTSpikeAll shapes the router's way to all clients. The queue is on the router, for
// on the server itself TCP small queues would keep it short (net/ipv4/tcp_output.c,
// tcp_small_queue_check). Each download has a bounded window, so that all of them
// together fit into the queue: delay alone, no loss. The delay grows within a second,
// and no honest trigger fires before the shaping began.
func runRTTSpikeAll(s *lab.Stage) {
	// BBR would keep the queue short. Reno fills what there is, and is the one
	// algorithm that every kernel allows a namespace to choose.
	s.Edge().Sysctl("ipv4/tcp_congestion_control", "reno")
	s.Open(443, actor.Server{Comm: "nginx", Watch: 100 * time.Millisecond})
	// Each download's window is bounded, so that all of them together fit into the
	// queue: delay alone, no loss.
	s.Downloads(s.Clients(), actor.Client{From: lab.Addresses(lab.CrowdNet, 8), RcvBuf: 64 << 10, Rate: 4})

	rate := s.Number("rate")
	s.Begin("the uplink is shaped to %d bytes per second", rate)
	s.Router().Shape("clients", uint64(rate), uint32(4*rate))
}
