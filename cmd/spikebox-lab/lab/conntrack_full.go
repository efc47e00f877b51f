//go:build linux

package lab

import (
	"fmt"
	"time"

	"github.com/spikebox/spikebox/cmd/spikebox-lab/actor"
)

var conntrackFull = &Incident{
	Name: "conntrack-full",
	Doc:  "connection tracking is full of connections that ended long ago: no new one gets in",
	Story: `
The firewall tracks connections. Clients that went away without a word leave entries
that live for five days, and one day the table is full: the kernel drops the first
packet of every new connection, before TCP sees it. Those that exist go on well.`,
	Params: []Param{
		{"reserve", "entries that are free in the baseline", "4000", "20000"},
		{"baseline", "healthy time before the incident", "4s", "10s"},
	},
	Arm: []string{"--trigger", "conntrack.drops > 0", "--before", "10s", "--after", "8s"},
	Expected: Expected{
		Root:    "conntrack-full",
		Effects: []string{"syn-retransmit"},
		Allowed: []string{"conntrack-pressure", "kernel-drop", "tuning"},
	},
	run: runConntrackFull,
}

// conntrackMost is the largest table that the lab fills: an entry costs the kernel
// about 300 bytes, and 10 µs to make.
const conntrackMost = 1 << 20

// runConntrackFull fills the real table of the edge's namespace, up to nf_conntrack_max.
// The entries are assured, as those of real connections are, so that none can be evicted
// for a new one (net/netfilter/nf_conntrack_core.c, early_drop). The kernel drops the
// packet and logs "table full, dropping packet"; this is behind the tap.
func runConntrackFull(s *stage) {
	edge, net := s.edge(), s.clients()
	s.check(edge.track())
	limit, err := edge.conntrackMax()
	s.check(err)
	if limit > conntrackMost {
		s.check(fmt.Errorf("fill connection tracking: nf_conntrack_max is %d, the lab fills at most %d", limit, conntrackMost))
	}
	reserve := s.number("reserve")
	s.check(edge.remember(spoofNet, 0, limit-reserve, 443))
	web := s.serve(edge, 443, actor.Server{Comm: "nginx"})
	s.arm(edge)
	customers := s.customers(net, edge, 443)
	regulars := s.load(net, edge, 443, actor.Client{
		Group: "regulars", From: addresses(crowdNet, 5), Count: 5, Gap: 200 * time.Millisecond,
	})
	s.sleep(s.duration("baseline"))

	s.begin("the last of %d places in connection tracking are taken", limit)
	s.check(edge.remember(spoofNet, limit-reserve, reserve, 443))
	s.collect(60 * time.Second)
	s.leave(customers, regulars, web)
}
