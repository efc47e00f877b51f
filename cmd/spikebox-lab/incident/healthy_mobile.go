//go:build linux

package incident

import (
	"time"

	"github.com/spikebox/spikebox/cmd/spikebox-lab/actor"
	"github.com/spikebox/spikebox/cmd/spikebox-lab/lab"
)

var healthyMobile = &lab.Incident{
	Name: "healthy-mobile",
	Doc:  "one client behind a slow line that comes and stays: nothing is wrong",
	Story: `
Somebody on a train downloads something large over a slow line with a long queue. The round
trips of that one connection are as long as the queue; everybody else is well.`,
	Params: []lab.Param{
		lab.NewParam("rate", "bytes per second of the slow line", "60000", "60000"),
		lab.NewParam("baseline", "healthy time before the bundle is cut", "6s", "20s"),
	},
	Arm:      []string{"--before", "20s", "--after", "2s"},
	Expected: lab.Expected{Allowed: []string{"rtt-spike"}},
	Run:      runHealthyMobile,
}

// runHealthyMobile shapes the line before the recorder is armed, with a queue of about a second.
func runHealthyMobile(s *lab.Stage) {
	branch := s.Host("branch", lab.BranchAddr)
	s.Router().Shape("branch", uint64(s.Number("rate")), uint32(s.Number("rate")))
	s.Edge().Sysctl("ipv4/tcp_congestion_control", "reno") // BBR would keep the queue short
	s.Open(443, actor.Server{Comm: "nginx"})
	s.Load(s.Clients(), s.Edge(), 443, actor.Client{Group: "app", From: lab.Addresses(lab.CrowdNet, 10), Count: 20, Gap: 50 * time.Millisecond})

	s.Begin("a client comes over the slow line")
	s.Load(branch, s.Edge(), 443, actor.Client{Group: "mobile", Count: 1, RcvBuf: 32 << 10, Bytes: 1 << 20})
}
