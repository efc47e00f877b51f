//go:build linux

package incident

import (
	"fmt"

	"github.com/spikebox/spikebox/cmd/spikebox-lab/actor"
	"github.com/spikebox/spikebox/cmd/spikebox-lab/lab"
)

var portExhaustion = &lab.Incident{
	Name: "port-exhaustion",
	Doc:  "a proxy without keep-alive runs out of local ports towards its upstream",
	Story: `
The proxy opens a connection to its upstream for every request and closes it itself: each
leaves a port in TIME_WAIT for a minute. At more connections a minute than
ip_local_port_range has ports, connect(2) fails with "cannot assign requested address".`,
	Params: []lab.Param{
		lab.NewParam("ports", "of net.ipv4.ip_local_port_range", "300", "5000"),
		lab.NewLoad("rate", "connections per second", "100", "1000"),
		lab.Baseline("4s", "10s"),
	},
	Arm: []string{"--trigger", "ports.fill > 90%", "--before", "60s", "--after", "4s"},
	Expected: lab.Expected{
		Root:    "port-exhaustion",
		Allowed: []string{"tuning"},
	},
	Run: runPortExhaustion,
}

// runPortExhaustion narrows the range of local ports of the edge's namespace, so that it
// is used up in seconds. The proxy closes first, hence TIME_WAIT is on its side, for 60 s
// (TCP_TIMEWAIT_LEN, not a sysctl). It binds its address before it connects, as proxies
// with a source address do: bind(2) finds no port and says EADDRINUSE.
func runPortExhaustion(s *lab.Stage) {
	edge := s.Edge()
	edge.Sysctl("ipv4/ip_local_port_range", fmt.Sprintf("40000 %d", 40000+s.Number("ports")-1))
	s.Serve(s.Upstream(), 5432, actor.Server{Comm: "postgres"})
	s.Open(443, actor.Server{Comm: "nginx"})

	s.Begin("the proxy on edge-1 opens %d connections per second to db-1", s.Number("rate"))
	s.Proxy()
}
