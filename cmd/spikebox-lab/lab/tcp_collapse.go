//go:build linux

package lab

import (
	"fmt"
	"net/netip"
	"strconv"
	"strings"
	"time"

	"github.com/vishvananda/netlink"

	"github.com/spikebox/spikebox/cmd/spikebox-lab/actor"
)

var tcpCollapse = &Incident{
	Name: "tcp-collapse",
	Doc:  "a reader stops, tiny segments fill its receive buffer, and the kernel collapses them",
	Story: `
tcp_rmem allows very large receive buffers. One process stops reading while its peer
goes on sending tiny segments, each in a socket buffer of its own. When the limit is
reached, the kernel merges tens of thousands of them at once, in the softirq: for
many milliseconds that CPU receives nothing else, and every packet of every other
connection is late. With a smaller tcp_rmem it happens as often and lasts less.`,
	Params: []Param{
		{"rmem", "maximum (and default) of the server's tcp_rmem", "32MiB", "32MiB"},
		{"segments", "of one byte that are sent", "900000", "1700000"},
		{"baseline", "healthy time before the incident", "3s", "10s"},
	},
	// The packets of the incident itself would leave no room for the others'.
	Arm: []string{"--port", "443", "--before", "40s", "--after", "1s"},
	Expected: Expected{
		Root:    "tcp-collapse",
		Effects: []string{"softirq-stall"},
		Allowed: []string{"zero-window", "rtt-spike", "echo-delayed", "tuning"},
	},
	run: runTCPCollapse,
}

// runTCPCollapse fills a receive buffer with socket buffers of one byte. When it is over
// its limit, tcp_prune_queue merges what is there (net/ipv4/tcp_input.c, tcp_collapse):
// once per filling, whose length the maximum of tcp_rmem sets. 32 MiB are 39,000
// segments and a softirq of about 25 ms, 4 MiB an eighth of that.
func runTCPCollapse(s *stage) {
	edge, net := s.edge(), s.clients()
	rmem := s.size("rmem")
	if rmem < 16<<20 { // shorter than the 5 ms that make a stall
		s.truth.Expected.Effects = []string{}
	}
	s.check(edge.sysctl("ipv4/tcp_rmem", fmt.Sprintf("4096 %d %d", rmem, rmem)))
	s.check(net.sysctl("ipv4/tcp_wmem", "4096 67108864 67108864"))
	s.check(net.sysctl("ipv4/tcp_autocorking", "0"))
	// One segment per byte needs a sender that never waits for the window of its
	// congestion control, and a receiver that acknowledges at once.
	s.check(net.tune(func(r *netlink.Route) { r.InitCwnd = 20000 }))
	s.check(edge.tune(func(r *netlink.Route) { r.QuickACK = 1 }))
	web := s.serve(edge, 443, actor.Server{Comm: "nginx", Watch: 100 * time.Millisecond})
	t := actor.Trickle{Comm: "log-sink", From: addresses(crowdNet, 1)[0], Bulk: 64 << 20,
		Addr:  netip.AddrPortFrom(netip.MustParseAddr(edge.addr), 5140).String(),
		Count: s.number("segments"), Rest: s.duration("baseline")}
	sink := s.act(edge, "sink", t.Comm, t)
	s.arm(edge)
	customers := s.customers(net, edge, 443)
	t.Comm = "log-shipper"
	trickle := s.act(net, "trickle", t.Comm, t)
	s.sleep(t.Rest)

	s.begin("log-sink reads no more, %d segments of one byte arrive", t.Count)
	s.finish(trickle, 2*time.Minute)
	s.cut()
	s.collect(30 * time.Second)
	s.leave(customers, trickle, sink, web)
}

// size reads a parameter in bytes, with or without KiB or MiB.
func (s *stage) size(name string) int {
	text, shift := s.params[name], 0
	for unit, bits := range map[string]int{"KiB": 10, "MiB": 20} {
		if n, ok := strings.CutSuffix(text, unit); ok {
			text, shift = n, bits
		}
	}
	n, err := strconv.Atoi(text)
	s.check(wrapParam(name, err))
	return n << shift
}
