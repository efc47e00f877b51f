//go:build linux

package lab

import (
	"time"

	"github.com/spikebox/spikebox/cmd/spikebox-lab/actor"
)

var synFlood = &Incident{
	Name: "syn-flood",
	Doc:  "SYNs from made-up addresses fill the SYN queue; the kernel answers with cookies",
	Story: `
Thousands of SYNs a second arrive from addresses that nobody has, each once. The
server's answers go nowhere; its SYN queue is full, and the kernel sends SYN cookies.
Customers still come through, thanks to the cookies.`,
	Params: []Param{
		{"rate", "SYNs per second", "2000", "20000"},
		{"baseline", "healthy time before the incident", "4s", "10s"},
	},
	Arm: []string{"--trigger", "cookies > 100", "--before", "10s", "--after", "4s"},
	Expected: Expected{
		Root:    "syn-flood",
		Effects: []string{"syn-recv-pileup", "syn-cookies"},
		Allowed: []string{"synack-retransmit", "tuning"},
	},
	run: runSynFlood,
}

// runSynFlood sends SYNs whose answers the router discards. The SYN queue takes as many
// as the backlog allows, 129 here; what comes beyond them gets a cookie, for which the
// kernel keeps no request (tcp_input.c, tcp_conn_request, want_cookie). Half-open sockets
// are therefore few, and the counters SyncookiesSent and TCPReqQFullDoCookies tell how
// many SYNs there were.
func runSynFlood(s *stage) {
	edge, net := s.edge(), s.clients()
	web := s.serve(edge, 443, actor.Server{Comm: "nginx", Backlog: 128})
	s.arm(edge)
	customers := s.customers(net, edge, 443)
	s.sleep(s.duration("baseline"))

	s.begin("%d SYNs per second from addresses in %s", s.number("rate"), spoofNet)
	flood := s.act(net, "flood", "flood", actor.Flood{
		Comm: "flood", To: edge.addr + ":443", Net: spoofNet, Rate: s.number("rate"), Seed: s.seed()})
	s.collect(60 * time.Second)
	s.leave(flood, customers, web)
}
