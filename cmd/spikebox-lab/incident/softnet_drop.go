//go:build linux

package incident

import (
	"github.com/spikebox/spikebox/cmd/spikebox-lab/actor"
	"github.com/spikebox/spikebox/cmd/spikebox-lab/lab"
)

var softnetDrop = &lab.Incident{
	Name: "softnet-drop",
	Doc:  "one CPU has to receive everything, cannot keep up, and its backlog overflows",
	Story: `
Receive packet steering sends all of eth0 to one CPU, and the firewall has grown by
thousands of rules that each packet walks through. A burst of datagrams is more than
that CPU can do: its backlog (net.core.netdev_max_backlog) overflows, and packets of
every connection are dropped before any firewall or socket sees them.`,
	Params: []lab.Param{
		lab.NewLoad("rate", "datagrams per second", "120000", "300000"),
		lab.NewParam("rules", "of the firewall", "3000", "3000"),
		lab.Baseline("4s", "10s"),
	},
	Arm: []string{"--trigger", "softnet.drops > 0", "--port", "443", "--before", "20s", "--after", "2s"},
	Expected: lab.Expected{
		Root: "softnet-drop",
		Allowed: []string{"softnet-squeeze", "irq-imbalance", "cpu-saturated", "retransmission-burst",
			"loss-ratio", "syn-retransmit", "synack-retransmit", "rtt-spike", "rx-dropped-explained", "nic-drop",
			"softirq-stall", "kernel-drop", "slow-application", "syn-recv-pileup",
			// What the backlog drops, no capture sees.
			"capture-incomplete"},
	},
	Run: runSoftnetDrop,
}

// runSoftnetDrop lets CPU 0 send more than CPU 1 can receive: packet steering puts each
// packet into CPU 1's backlog, which takes net.core.netdev_max_backlog of them
// (net/core/dev.c, enqueue_to_backlog). What is dropped there has not reached the tap.
// The recorder keeps the packets of port 443 alone, or the flood would fill its ring.
func runSoftnetDrop(s *lab.Stage) {
	s.NeedTwoCPUs()
	edge, clients := s.Edge(), s.Clients()
	s.Open(443, actor.Server{Comm: "nginx"})

	s.Begin("CPU 1 alone receives, through %d rules, %d datagrams per second", s.Number("rules"), s.Number("rate"))
	edge.Steer("eth0", 1)
	edge.Ballast(s.Number("rules"))
	s.Flood(clients, actor.Flood{Comm: "flood", To: edge.At(5353), UDP: true, Rate: s.Number("rate"), Pin: true, CPU: 0})
}
