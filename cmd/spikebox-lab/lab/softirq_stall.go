//go:build linux

package lab

import (
	"errors"
	"runtime"
	"time"

	"github.com/spikebox/spikebox/cmd/spikebox-lab/actor"
)

var softirqStall = &Incident{
	Name: "softirq-stall",
	Doc:  "a huge linear firewall keeps one CPU in the softirq for many milliseconds at a time",
	Story: `
A generator has written a firewall of tens of thousands of rules, one after another, and
receive packet steering sends all of eth0 to one CPU. Each packet walks through all
rules, which nobody notices, until bursts of datagrams arrive: then that CPU stays in
the NET_RX softirq for tens of milliseconds at a time, and pings and every connection wait
for it. Nothing is dropped.`,
	Params: []Param{
		{"rules", "of the firewall", "80000", "80000"},
		{"burst", "datagrams that arrive at once, once a second", "300", "300"},
		{"baseline", "healthy time before the incident", "4s", "10s"},
		{"span", "how long it goes on before the bundle is cut", "5s", "20s"},
	},
	Arm: []string{"--before", "20s", "--after", "1s"},
	Expected: Expected{
		Root:    "softirq-stall",
		Allowed: []string{"echo-delayed", "rtt-spike", "softnet-squeeze", "irq-imbalance", "cpu-saturated", "kernel-drop"},
	},
	run: runSoftirqStall,
}

// runSoftirqStall makes packets expensive, and lets many come at once: the backlog is
// worked off 64 packets at a time (net/core/dev.c, process_backlog, weight), and net_rx_action
// looks at the clock only after such a round. 64 times 0.3 ms are 20 ms. The rules and
// the steering are there from the start: what begins is the bursts.
func runSoftirqStall(s *stage) {
	if runtime.NumCPU() < 2 {
		s.check(errors.New("steer packets to another CPU: this machine has only one"))
	}
	edge, net := s.edge(), s.clients()
	web := s.serve(edge, 443, actor.Server{Comm: "nginx", Watch: 100 * time.Millisecond})
	s.check(edge.steer("eth0", 1))
	s.check(edge.ballast(s.number("rules")))
	s.arm(edge)
	customers, pings := s.customers(net, edge, 443), s.pings(net, edge)
	s.sleep(s.duration("baseline"))

	burst := s.number("burst")
	s.begin("%d datagrams arrive at once, every second", burst)
	flood := s.act(net, "flood", "burst", actor.Flood{Comm: "burst", To: edge.addr + ":5353", Net: spoofNet,
		UDP: true, Rate: burst, Burst: burst, Pin: true, CPU: 0, Seed: s.seed()})
	s.sleep(s.duration("span"))
	s.cut()
	s.collect(30 * time.Second)
	s.leave(flood, pings, customers, web)
}
