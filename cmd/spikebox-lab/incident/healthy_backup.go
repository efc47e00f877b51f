//go:build linux

package incident

import (
	"time"

	"github.com/spikebox/spikebox/cmd/spikebox-lab/actor"
	"github.com/spikebox/spikebox/cmd/spikebox-lab/lab"
)

var healthyBackup = &lab.Incident{
	Name: "healthy-backup",
	Doc:  "a backup copies much data from the host: nothing is wrong",
	Story: `
Each night a backup server fetches a copy, over some connections, as fast as the network gives it. There is
room enough: customers notice nothing.`,
	Params: []lab.Param{
		lab.NewLoad("streams", "of the copy", "2", "8"),
		lab.NewParam("baseline", "healthy time before the bundle is cut", "6s", "20s"),
	},
	Arm: []string{"--before", "20s", "--after", "2s"},
	// A copy takes all that its line gives, which it learns by filling the line's queue until that drops.
	Expected: lab.Expected{Allowed: []string{"cpu-saturated", "qdisc-drop", "retransmission-burst", "loss-ratio"}},
	Run:      runHealthyBackup,
}

// runHealthyBackup copies over a line with a short queue, of 20 ms.
func runHealthyBackup(s *lab.Stage) {
	// Without it the copy would take all of the CPUs that server and clients share here.
	s.Edge().Shape("eth0", 20_000_000, 400_000)
	s.Open(443, actor.Server{Comm: "nginx"})

	s.Begin("the backup begins")
	s.Load(s.Upstream(), s.Edge(), 443, actor.Client{Group: "backup", Comm: "restic", Count: s.Number("streams"), Bytes: 64 << 20})
	s.Sleep(5 * time.Second)
}
