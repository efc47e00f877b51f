//go:build linux

package lab

import (
	"time"

	"github.com/spikebox/spikebox/cmd/spikebox-lab/actor"
)

var finWait2Pileup = &Incident{
	Name: "fin-wait2-pileup",
	Doc:  "a server closes first, and its clients never do",
	Story: `
shop-api ends its keep-alive early and closes after each answer. A broken client library
never closes its side: on the server each connection waits in FIN_WAIT2 for the FIN,
a minute long (net.ipv4.tcp_fin_timeout).`,
	Params: []Param{
		{"rate", "connections per second of the broken clients", "50", "500"},
		{"baseline", "healthy time before the incident", "4s", "10s"},
	},
	Arm: []string{"--trigger", "tcp.fin_wait2 > 100", "--before", "15s", "--after", "2s"},
	Expected: Expected{
		Root:    "fin-wait2-pileup",
		Allowed: []string{"orphans"},
	},
	run: runFinWait2Pileup,
}

// runFinWait2Pileup lets the server close first. Its FIN is acknowledged by the client's
// kernel, but the client's program never closes: the server's side becomes a mini socket
// in FIN_WAIT2 for tcp_fin_timeout (net/ipv4/tcp.c, __tcp_close, tcp_time_wait).
func runFinWait2Pileup(s *stage) {
	edge, net := s.edge(), s.clients()
	api := s.serve(edge, 8080, actor.Server{Comm: "shop-api"})
	s.arm(edge)
	customers := s.load(net, edge, 8080, actor.Client{
		Group: "healthy", Comm: "customer", From: addresses(healthyNet, 8), Rate: 10, Requests: 1,
	})
	s.sleep(s.duration("baseline"))

	s.begin("shop-api closes after each answer, and %d clients per second never close", s.number("rate"))
	api.tell("manner %s", actor.MannerClose)
	broken := s.load(net, edge, 8080, actor.Client{
		Group: "broken", From: addresses(crowdNet, 20), Rate: float64(s.number("rate")), Requests: 1, Hold: true,
	})
	s.collect(60 * time.Second)
	s.leave(customers, broken, api)
}
