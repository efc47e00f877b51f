//go:build linux

package incident

import (
	"time"

	"github.com/spikebox/spikebox/cmd/spikebox-lab/actor"
	"github.com/spikebox/spikebox/cmd/spikebox-lab/lab"
)

var conntrackFull = &lab.Incident{
	Name: "conntrack-full",
	Doc:  "connection tracking is full of connections that ended long ago: no new one gets in",
	Story: `
The firewall tracks connections. Clients that went away without a word leave entries
that live for five days, and one day the table is full: the kernel drops the first
packet of every new connection, before TCP sees it. Those that exist go on well.`,
	Params: []lab.Param{
		lab.NewParam("reserve", "entries that are free in the baseline, a tenth of the table at least", "4000", "20000"),
		lab.Baseline("4s", "10s"),
	},
	Arm: []string{"--trigger", "conntrack.drops > 0", "--before", "20s", "--after", "8s"},
	Expected: lab.Expected{
		Root:    "conntrack-full",
		Effects: []string{"syn-retransmit"},
		Allowed: []string{"conntrack-pressure", "kernel-drop", "tuning"},
	},
	Run: runConntrackFull,
}

// conntrackMost is the largest table that the lab fills: an entry costs the kernel
// about 300 bytes, and 10 µs to make.
const conntrackMost = 1 << 20

// runConntrackFull fills the real table of the edge's namespace, up to nf_conntrack_max.
// The entries are assured, as those of real connections are, so that none can be evicted
// for a new one (net/netfilter/nf_conntrack_core.c, early_drop). The kernel drops the
// packet and logs "table full, dropping packet"; this is behind the tap.
func runConntrackFull(s *lab.Stage) {
	edge, clients := s.Edge(), s.Clients()
	edge.Track()
	limit := edge.ConntrackMax()
	if limit > conntrackMost {
		s.Fail("fill connection tracking: nf_conntrack_max is %d, the lab fills at most %d", limit, conntrackMost)
	}
	// From 95 % on a recorder fires with its default triggers, and rightly: that is to be after the baseline, however large the table is.
	reserve := max(s.Number("reserve"), limit/10)
	edge.Remember(lab.SpoofNet, 0, limit-reserve, 443)
	s.Open(443, actor.Server{Comm: "nginx"})
	// They were there before: their entries stay, and a full table does them no harm.
	s.Load(clients, edge, 443, actor.Client{
		Group: "regulars", From: lab.Addresses(lab.CrowdNet, 5), Count: 5, Gap: 200 * time.Millisecond,
	})

	s.Begin("the last of %d places in connection tracking are taken", limit)
	edge.Remember(lab.SpoofNet, limit-reserve, reserve, 443)
}
