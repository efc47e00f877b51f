//go:build linux

package lab

import (
	"time"

	"github.com/spikebox/spikebox/cmd/spikebox-lab/actor"
)

var rttSpikeOnePeer = &Incident{
	Name: "rtt-spike-one-peer",
	Doc:  "the line to one branch office is slow and its queue long; everybody else is well",
	Story: `
A branch office has lost its fast line and goes through a slow one with a long queue.
Its downloads fill that queue: round trips to the branch take hundreds of
milliseconds, those to everybody else stay what they were.`,
	Params: []Param{
		{"rate", "bytes per second that the branch has left", "500000", "5000000"},
		{"downloads", "of the branch", "6", "60"},
		{"baseline", "healthy time before the incident", "4s", "10s"},
	},
	Arm: []string{"--trigger", "rtt.max > 200ms for 1s", "--before", "10s", "--after", "3s"},
	Expected: Expected{
		Root: "rtt-spike",
		// See rtt-spike-all.
		Allowed: []string{"retransmission-burst", "syn-retransmit", "synack-retransmit"},
	},
	run: runRTTSpikeOnePeer,
}

// runRTTSpikeOnePeer is runRTTSpikeAll on the line to one client alone. One slow peer
// among many is hardly a hundredth of all round trips, so the trigger is on their
// maximum, not on the 99th percentile.
func runRTTSpikeOnePeer(s *stage) {
	edge, net := s.edge(), s.clients()
	branch := s.host("branch", branchAddr)
	s.check(edge.sysctl("ipv4/tcp_congestion_control", "reno")) // BBR would keep the queue short
	web := s.serve(edge, 443, actor.Server{Comm: "nginx", Watch: 100 * time.Millisecond})
	s.arm(edge)
	customers := s.customers(net, edge, 443)
	// Bounded windows: delay alone, no loss.
	downloads := s.load(branch, edge, 443, actor.Client{
		Group: "branch", Comm: "mirror", From: []string{branch.addr}, RcvBuf: 64 << 10,
		Rate: 4, Count: s.number("downloads"), Bytes: 50_000, Gap: 100 * time.Millisecond,
	})
	s.sleep(s.duration("baseline"))

	rate := s.number("rate")
	s.begin("the line to the branch, %s, is shaped to %d bytes per second", branch.addr, rate)
	s.check(s.router.shape("branch", uint64(rate), uint32(4*rate)))
	s.collect(60 * time.Second)
	s.leave(customers, downloads, web)
}
