//go:build linux

package lab

import (
	"time"

	"github.com/spikebox/spikebox/cmd/spikebox-lab/actor"
)

var rttSpikeAll = &Incident{
	Name: "rtt-spike-all",
	Doc:  "the uplink is shaped to less than is sent: its long queue delays every flow",
	Story: `
The uplink of the site is suddenly worth a tenth of its bandwidth. Nothing is lost,
for the router before it has a very long queue; downloads fill that queue, and every
packet to every client waits in it for hundreds of milliseconds.`,
	Params: []Param{
		{"rate", "bytes per second that the uplink has left", "1000000", "10000000"},
		{"downloads", "that fill the queue", "8", "80"},
		{"baseline", "healthy time before the incident", "4s", "10s"},
	},
	Arm: []string{"--rtt", "200ms", "--before", "10s", "--after", "3s"},
	Expected: Expected{
		Root: "rtt-spike",
		// A delay that grows faster than the timers learn of it makes spurious
		// retransmissions, by timeout and by tail-loss probe.
		Allowed: []string{"retransmission-burst", "syn-retransmit", "synack-retransmit"},
	},
	run: runRTTSpikeAll,
}

// runRTTSpikeAll shapes the router's way to all clients. The queue is on the router, for
// on the server itself TCP small queues would keep it short (net/ipv4/tcp_output.c,
// tcp_small_queue_check). Each download has a bounded window, so that all of them
// together fit into the queue: delay alone, no loss. The delay grows within a second,
// and no honest trigger fires before the shaping began.
func runRTTSpikeAll(s *stage) {
	edge, net := s.edge(), s.clients()
	// BBR would keep the queue short. Reno fills what there is, and is the one
	// algorithm that every kernel allows a namespace to choose.
	s.check(edge.sysctl("ipv4/tcp_congestion_control", "reno"))
	web := s.serve(edge, 443, actor.Server{Comm: "nginx", Watch: 100 * time.Millisecond})
	s.arm(edge)
	customers := s.customers(net, edge, 443)
	// Each download's window is bounded, so that all of them together fit into the
	// queue: delay alone, no loss.
	downloads := s.load(net, edge, 443, actor.Client{
		Group: "downloads", Comm: "mirror", From: addresses(crowdNet, 8), RcvBuf: 64 << 10,
		Rate: 4, Count: s.number("downloads"), Bytes: 100_000, Gap: 100 * time.Millisecond,
	})
	s.sleep(s.duration("baseline"))

	rate := s.number("rate")
	s.begin("the uplink is shaped to %d bytes per second", rate)
	s.check(s.router.shape("clients", uint64(rate), uint32(4*rate)))
	s.collect(60 * time.Second)
	s.leave(customers, downloads, web)
}
