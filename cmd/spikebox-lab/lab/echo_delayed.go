//go:build linux

package lab

import (
	"time"

	"github.com/spikebox/spikebox/cmd/spikebox-lab/actor"
)

var echoDelayed = &Incident{
	Name: "echo-delayed",
	Doc:  "the host answers pings more than a second late: they wait in its own full queue",
	Story: `
Somebody pings the server and gets replies after more than a second, from one second
to the next. A capture on the server shows the requests arrive in time and the replies
leave late: the second is lost on this host. It is the queue of its own interface,
filled by a stream of datagrams, and connections wait in it as well.`,
	Params: []Param{
		{"rate", "bytes per second that eth0 lets through", "200000", "2000000"},
		{"baseline", "healthy time before the incident", "4s", "10s"},
		{"span", "how long it goes on before the bundle is cut", "6s", "20s"},
	},
	Arm: []string{"--before", "20s", "--after", "1s"},
	Expected: Expected{
		Root: "echo-delayed",
		Allowed: []string{"rtt-spike", "retransmission-burst", "synack-retransmit", "syn-retransmit", "slow-application",
			"qdisc-drop", "loss-ratio"},
	},
	run: runEchoDelayed,
}

// runEchoDelayed delays what the host sends, above its tap (see runQdiscDrop): a capture
// has the request in time and the reply when it leaves. A burst enters the queue at once
// and drains at the shaped rate, so the pings sent meanwhile are answered in one bunch,
// the first of them the latest.
func runEchoDelayed(s *stage) {
	edge, net := s.edge(), s.clients()
	web := s.serve(edge, 443, actor.Server{Comm: "nginx", Watch: 100 * time.Millisecond})
	s.arm(edge)
	customers, pings := s.customers(net, edge, 443), s.pings(net, edge)
	s.sleep(s.duration("baseline"))

	// Every two seconds 1.5 seconds' worth of datagrams of 42 bytes enter the queue,
	// which has room for them: it grows and shrinks, and drops nothing.
	rate := s.number("rate")
	burst := rate * 3 / 2 / 42
	s.begin("eth0 of edge-1 is limited to %d bytes per second; %d datagrams enter its queue every 2 s", rate, burst)
	s.check(edge.shape("eth0", uint64(rate), uint32(8*rate)))
	stream := s.act(edge, "flood", "exporter", actor.Flood{Comm: "exporter", To: addresses(spoofNet, 1)[0] + ":9999",
		Net: edge.addr + "/32", UDP: true, Rate: burst / 2, Burst: burst, Seed: s.seed()})
	s.sleep(s.duration("span"))
	s.cut()
	s.collect(30 * time.Second)
	s.leave(stream, pings, customers, web)
}
