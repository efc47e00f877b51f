//go:build linux

package incident

import (
	"time"

	"github.com/spikebox/spikebox/cmd/spikebox-lab/actor"
	"github.com/spikebox/spikebox/cmd/spikebox-lab/lab"
)

var softirqStall = &lab.Incident{
	Name: "softirq-stall",
	Doc:  "a huge linear firewall keeps one CPU in the softirq for many milliseconds at a time",
	Story: `
A generator has written a firewall of tens of thousands of rules, one after another, and
receive packet steering sends all of eth0 to one CPU. Each packet walks through all
rules, which nobody notices, until bursts of datagrams arrive: then that CPU stays in
the NET_RX softirq for tens of milliseconds at a time, and pings and every connection wait
for it. Nothing is dropped.`,
	Params: []lab.Param{
		lab.NewParam("rules", "of the firewall", "80000", "80000"),
		lab.NewParam("burst", "datagrams that arrive at once, once a second", "300", "300"),
		lab.Baseline("4s", "10s"),
		lab.Span("5s", "20s"),
	},
	Arm: []string{"--before", "60s", "--after", "1s"},
	Expected: lab.Expected{
		Root:    "softirq-stall",
		Allowed: []string{"echo-delayed", "rtt-spike", "softnet-squeeze", "irq-imbalance", "cpu-saturated", "kernel-drop"},
	},
	Run: runSoftirqStall,
}

// runSoftirqStall makes packets expensive, and lets many come at once: the backlog is
// worked off 64 packets at a time (net/core/dev.c, process_backlog, weight), and net_rx_action
// looks at the clock only after such a round. 64 times 0.3 ms are 20 ms. The rules and
// the steering are there from the start: what begins is the bursts.
func runSoftirqStall(s *lab.Stage) {
	s.NeedTwoCPUs()
	edge, clients := s.Edge(), s.Clients()
	edge.Steer("eth0", 1)
	edge.Ballast(s.Number("rules"))
	s.Open(443, actor.Server{Comm: "nginx", Watch: 100 * time.Millisecond})
	s.Pings(clients, edge)

	burst := s.Number("burst")
	s.Begin("%d datagrams arrive at once, every second", burst)
	s.Flood(clients, actor.Flood{Comm: "burst", To: edge.At(5353), UDP: true, Rate: burst, Burst: burst, Pin: true, CPU: 0})
	s.Sleep(s.Duration("span"))
}
