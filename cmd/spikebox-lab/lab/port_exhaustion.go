//go:build linux

package lab

import (
	"fmt"
	"time"

	"github.com/spikebox/spikebox/cmd/spikebox-lab/actor"
)

var portExhaustion = &Incident{
	Name: "port-exhaustion",
	Doc:  "a proxy without keep-alive runs out of local ports towards its upstream",
	Story: `
The proxy opens a connection to its upstream for every request and closes it itself: each
leaves a port in TIME_WAIT for a minute. At more connections a minute than
ip_local_port_range has ports, connect(2) fails with "cannot assign requested address".`,
	Params: []Param{
		{"ports", "of net.ipv4.ip_local_port_range", "300", "5000"},
		{"rate", "connections per second", "100", "1000"},
		{"baseline", "healthy time before the incident", "4s", "10s"},
	},
	Arm: []string{"--trigger", "ports.fill > 90%", "--before", "15s", "--after", "4s"},
	Expected: Expected{
		Root:    "port-exhaustion",
		Allowed: []string{"tuning"},
	},
	run: runPortExhaustion,
}

// runPortExhaustion narrows the range of local ports of the edge's namespace, so that it
// is used up in seconds. The proxy closes first, hence TIME_WAIT is on its side, for 60 s
// (TCP_TIMEWAIT_LEN, not a sysctl). It binds its address before it connects, as proxies
// with a source address do: bind(2) finds no port and says EADDRINUSE.
func runPortExhaustion(s *stage) {
	edge, net, db := s.edge(), s.clients(), s.upstream()
	s.check(edge.sysctl("ipv4/ip_local_port_range", fmt.Sprintf("40000 %d", 40000+s.number("ports")-1)))
	web := s.serve(edge, 443, actor.Server{Comm: "nginx"})
	pg := s.serve(db, 5432, actor.Server{Comm: "postgres"})
	s.arm(edge)
	customers := s.customers(net, edge, 443)
	s.sleep(s.duration("baseline"))

	s.begin("the proxy on edge-1 opens %d connections per second to db-1", s.number("rate"))
	proxy := s.load(edge, db, 5432, actor.Client{
		Group: "proxy", Comm: "haproxy", From: []string{edge.addr}, Rate: float64(s.number("rate")), Requests: 1,
	})
	s.collect(60 * time.Second)
	s.leave(customers, proxy, web, pg)
}
