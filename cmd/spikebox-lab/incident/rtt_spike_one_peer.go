//go:build linux

package incident

import (
	"time"

	"github.com/spikebox/spikebox/cmd/spikebox-lab/actor"
	"github.com/spikebox/spikebox/cmd/spikebox-lab/lab"
)

var rttSpikeOnePeer = &lab.Incident{
	Name: "rtt-spike-one-peer",
	Doc:  "the line to one branch office is slow and its queue long; everybody else is well",
	Story: `
A branch office has lost its fast line and goes through a slow one with a long queue.
Its downloads fill that queue: round trips to the branch take hundreds of
milliseconds, those to everybody else stay what they were.`,
	Params: []lab.Param{
		lab.NewParam("rate", "bytes per second that the branch has left", "500000", "5000000"),
		lab.NewLoad("downloads", "of the branch", "6", "60"),
		lab.Baseline("4s", "10s"),
	},
	Arm: []string{"--trigger", "rtt.max > 200ms for 1s", "--before", "20s", "--after", "3s"},
	Expected: lab.Expected{
		Root: "rtt-spike",
		// See rtt-spike-all.
		Allowed: []string{"retransmission-burst", "syn-retransmit", "synack-retransmit"},
	},
	Run: runRTTSpikeOnePeer,
}

// runRTTSpikeOnePeer is runRTTSpikeAll on the line to one client alone. One slow peer
// among many is hardly a hundredth of all round trips, so the trigger is on their
// maximum, not on the 99th percentile.
func runRTTSpikeOnePeer(s *lab.Stage) {
	branch := s.Host("branch", lab.BranchAddr)
	s.Edge().Sysctl("ipv4/tcp_congestion_control", "reno") // BBR would keep the queue short
	s.Open(443, actor.Server{Comm: "nginx", Watch: 100 * time.Millisecond})
	// Bounded windows: delay alone, no loss.
	s.Downloads(branch, actor.Client{Group: "branch", RcvBuf: 64 << 10, Rate: 4, Bytes: 50_000})

	rate := s.Number("rate")
	s.Begin("the line to the branch, %s, is shaped to %d bytes per second", branch.Addr, rate)
	s.Router().Shape("branch", uint64(rate), uint32(4*rate))
}
