//go:build linux

package incident

import (
	"github.com/spikebox/spikebox/cmd/spikebox-lab/actor"
	"github.com/spikebox/spikebox/cmd/spikebox-lab/lab"
)

var finWait2Pileup = &lab.Incident{
	Name: "fin-wait2-pileup",
	Doc:  "a server closes first, and its clients never do",
	Story: `
shop-api ends its keep-alive early and closes after each answer. A broken client library
never closes its side: on the server each connection waits in FIN_WAIT2 for the FIN,
a minute long (net.ipv4.tcp_fin_timeout).`,
	Params: []lab.Param{
		lab.NewLoad("rate", "connections per second of the broken clients", "50", "500"),
		lab.Baseline("4s", "10s"),
	},
	Arm: []string{"--trigger", "tcp.fin_wait2 > 100", "--before", "60s", "--after", "2s"},
	Expected: lab.Expected{
		Root:    "fin-wait2-pileup",
		Allowed: []string{"orphans"},
	},
	Run: runFinWait2Pileup,
}

// runFinWait2Pileup lets the server close first. Its FIN is acknowledged by the client's
// kernel, but the client's program never closes: the server's side becomes a mini socket
// in FIN_WAIT2 for tcp_fin_timeout (net/ipv4/tcp.c, __tcp_close, tcp_time_wait).
func runFinWait2Pileup(s *lab.Stage) {
	edge, clients := s.Edge(), s.Clients()
	api := s.Serve(edge, 8080, actor.Server{Comm: "shop-api"})
	s.Arm(edge)
	s.Load(clients, edge, 8080, actor.Client{
		Group: "healthy", Comm: "customer", From: lab.Addresses(lab.HealthyNet, 8), Rate: 10, Requests: 1,
	})

	s.Begin("shop-api closes after each answer, and %d clients per second never close", s.Number("rate"))
	api.Tell("manner %s", actor.MannerClose)
	s.Load(clients, edge, 8080, actor.Client{Group: "broken", Rate: s.Rate("rate"), Requests: 1, Hold: true})
}
