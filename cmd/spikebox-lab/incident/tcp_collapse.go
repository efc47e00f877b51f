//go:build linux

package incident

import (
	"fmt"
	"time"

	"github.com/spikebox/spikebox/cmd/spikebox-lab/actor"
	"github.com/spikebox/spikebox/cmd/spikebox-lab/lab"
)

var tcpCollapse = &lab.Incident{
	Name: "tcp-collapse",
	Doc:  "a reader stops, tiny segments fill its receive buffer, and the kernel collapses them",
	Story: `
tcp_rmem allows very large receive buffers. One process stops reading while its peer
goes on sending tiny segments, each in a socket buffer of its own. When the limit is
reached, the kernel merges tens of thousands of them at once, in the softirq: for
many milliseconds that CPU receives nothing else, and every packet of every other
connection is late. It happens again with the next such connection. With a smaller
tcp_rmem it happens as often and lasts less.`,
	Params: []lab.Param{
		lab.NewParam("rmem", "maximum (and default) of the server's tcp_rmem", "32MiB", "32MiB"),
		lab.NewParam("segments", "of one byte that are sent on each", "900000", "1700000"),
		lab.NewParam("connections", "one after the other, to which that happens", "2", "2"),
		lab.Baseline("3s", "10s"),
	},
	// The packets of the incident itself would leave no room for the others'.
	// On a busy machine they take most of the two minutes that they may.
	Arm: []string{"--port", "443", "--before", "125s", "--after", "1s"},
	Expected: lab.Expected{
		Root:    "tcp-collapse",
		Effects: []string{"softirq-stall"},
		Allowed: []string{"zero-window", "rtt-spike", "echo-delayed", "tuning"},
	},
	Run: runTCPCollapse,
}

// runTCPCollapse fills a receive buffer with socket buffers of one byte. When it is over
// its limit, tcp_prune_queue merges what is there (net/ipv4/tcp_input.c, tcp_collapse):
// once per filling, whose length the maximum of tcp_rmem sets. 32 MiB are 39,000
// segments and a softirq of about 25 ms, 4 MiB an eighth of that.
func runTCPCollapse(s *lab.Stage) {
	edge, clients := s.Edge(), s.Clients()
	rmem := s.Size("rmem")
	if rmem < 16<<20 { // shorter than the 5 ms that make a stall
		s.ExpectNoEffects()
	}
	edge.Sysctl("ipv4/tcp_rmem", fmt.Sprintf("4096 %d %d", rmem, rmem))
	clients.Sysctl("ipv4/tcp_wmem", "4096 67108864 67108864")
	clients.Sysctl("ipv4/tcp_autocorking", "0")
	// One segment per byte needs a sender that never waits for the window of its
	// congestion control, and a receiver that acknowledges at once.
	clients.InitCwnd(20000)
	edge.QuickACK()
	t := actor.Trickle{Comm: "log-sink", From: lab.Addresses(lab.CrowdNet, 1)[0], Bulk: 64 << 20,
		Addr: edge.At(5140), Count: s.Number("segments"), Rest: s.Duration("baseline"), Times: s.Number("connections")}
	s.Act(edge, "sink", t.Comm, t)
	s.Open(443, actor.Server{Comm: "nginx", Watch: 100 * time.Millisecond})
	t.Comm = "log-shipper"
	trickle := s.Act(clients, "trickle", t.Comm, t)

	s.Begin("log-sink reads no more, %d segments of one byte arrive", t.Count)
	s.Finish(trickle, 2*time.Minute)
}
