//go:build linux

package incident

import (
	"github.com/spikebox/spikebox/cmd/spikebox-lab/actor"
	"github.com/spikebox/spikebox/cmd/spikebox-lab/lab"
)

var synFlood = &lab.Incident{
	Name: "syn-flood",
	Doc:  "SYNs from made-up addresses fill the SYN queue; the kernel answers with cookies",
	Story: `
Thousands of SYNs a second arrive from addresses that nobody has, each once. The
server's answers go nowhere; its SYN queue is full, and the kernel sends SYN cookies.
Customers still come through, thanks to the cookies.`,
	Params: []lab.Param{
		lab.NewLoad("rate", "SYNs per second", "2000", "20000"),
		lab.Baseline("4s", "10s"),
	},
	Arm: []string{"--trigger", "cookies > 100", "--before", "20s", "--after", "4s"},
	Expected: lab.Expected{
		Root:    "syn-flood",
		Effects: []string{"syn-recv-pileup", "syn-cookies"},
		Allowed: []string{"synack-retransmit", "tuning"},
	},
	Run: runSynFlood,
}

// runSynFlood sends SYNs whose answers the router discards. The SYN queue takes as many
// as the backlog allows, 129 here; what comes beyond them gets a cookie, for which the
// kernel keeps no request (tcp_input.c, tcp_conn_request, want_cookie). Half-open sockets
// are therefore few, and the counters SyncookiesSent and TCPReqQFullDoCookies tell how
// many SYNs there were.
func runSynFlood(s *lab.Stage) {
	s.Open(443, actor.Server{Comm: "nginx", Backlog: 128})

	s.Begin("%d SYNs per second from addresses in %s", s.Number("rate"), lab.SpoofNet)
	s.Flood(s.Clients(), actor.Flood{Comm: "flood", To: s.Edge().At(443), Rate: s.Number("rate")})
}
