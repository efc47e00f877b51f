//go:build linux

package lab

import (
	"errors"
	"fmt"
	"os"
	"runtime"
	"time"

	"github.com/spikebox/spikebox/cmd/spikebox-lab/actor"
)

var softnetDrop = &Incident{
	Name: "softnet-drop",
	Doc:  "one CPU has to receive everything, cannot keep up, and its backlog overflows",
	Story: `
Receive packet steering sends all of eth0 to one CPU, and the firewall has grown by
thousands of rules that each packet walks through. A burst of datagrams is more than
that CPU can do: its backlog (net.core.netdev_max_backlog) overflows, and packets of
every connection are dropped before any firewall or socket sees them.`,
	Params: []Param{
		{"rate", "datagrams per second", "120000", "300000"},
		{"rules", "of the firewall", "3000", "3000"},
		{"baseline", "healthy time before the incident", "4s", "10s"},
	},
	Arm: []string{"--trigger", "softnet.drops > 0", "--port", "443", "--before", "10s", "--after", "2s"},
	Expected: Expected{
		Root: "softnet-drop",
		Allowed: []string{"softnet-squeeze", "irq-imbalance", "cpu-saturated", "retransmission-burst",
			"loss-ratio", "syn-retransmit", "synack-retransmit", "rtt-spike", "rx-dropped-explained", "nic-drop",
			"softirq-stall", "kernel-drop", "slow-application",
			// What the backlog drops, no capture sees.
			"capture-incomplete"},
	},
	run: runSoftnetDrop,
}

// runSoftnetDrop lets CPU 0 send more than CPU 1 can receive: packet steering puts each
// packet into CPU 1's backlog, which takes net.core.netdev_max_backlog of them
// (net/core/dev.c, enqueue_to_backlog). What is dropped there has not reached the tap.
// The recorder keeps the packets of port 443 alone, or the flood would fill its ring.
func runSoftnetDrop(s *stage) {
	if runtime.NumCPU() < 2 {
		s.check(errors.New("steer packets to another CPU: this machine has only one"))
	}
	edge, net := s.edge(), s.clients()
	web := s.serve(edge, 443, actor.Server{Comm: "nginx"})
	s.arm(edge)
	customers := s.customers(net, edge, 443)
	s.sleep(s.duration("baseline"))

	s.begin("CPU 1 alone receives, through %d rules, %d datagrams per second", s.number("rules"), s.number("rate"))
	s.check(edge.steer("eth0", 1))
	s.check(edge.ballast(s.number("rules")))
	flood := s.act(net, "flood", "flood", actor.Flood{Comm: "flood", To: edge.addr + ":5353", Net: spoofNet,
		UDP: true, Rate: s.number("rate"), CPU: 0, Pin: true, Seed: s.seed()})
	s.collect(60 * time.Second)
	s.leave(flood, customers, web)
}

// steer lets one CPU receive all packets of an interface of the host
// (Documentation/networking/scaling.rst, RPS).
func (h *host) steer(link string, cpu int) error {
	return h.do(func() error {
		path := fmt.Sprintf("/sys/class/net/%s/queues/rx-0/rps_cpus", link)
		if err := os.WriteFile(path, fmt.Appendf(nil, "%x", 1<<cpu), 0); err != nil {
			return fmt.Errorf("steer packets: %w", err)
		}
		return nil
	})
}
