//go:build linux

package incident

import (
	"github.com/spikebox/spikebox/cmd/spikebox-lab/actor"
	"github.com/spikebox/spikebox/cmd/spikebox-lab/lab"
)

var listenOverflow = &lab.Incident{
	Name: "listen-overflow",
	Doc:  "a server with a small accept queue falls behind while clients connect",
	Story: `
shop-api listens with a small backlog. For some seconds it hardly comes to accept(2);
its accept queue fills, and the kernel drops the SYNs of further clients. They try
again after 1, 2, 3 … or 1, 3, 7 … seconds, as their kernels do, and every customer
sees whole seconds of delay although network and CPU are idle.`,
	Params: []lab.Param{
		lab.NewParam("backlog", "of listen(2)", "8", "128"),
		lab.NewLoad("crowd", "clients that connect while the server is behind", "40", "1000"),
		lab.NewParam("pace", "time the server takes per connection while it is behind", "1500ms", "100ms"),
		lab.Baseline("5s", "10s"),
		// Past the third retransmission on either schedule: 3.1 s, or 7.2 s with
		// tcp_syn_linear_timeouts=0 and on kernels before 6.5.
		lab.NewParam("stall", "how long the server is behind", "8s", "8s"),
	},
	Arm: []string{"--trigger", "listen.overflows > 0", "--before", "20s", "--after", "9s"},
	Expected: lab.Expected{
		Root:    "listen-overflow",
		Effects: []string{"syn-retransmit"},
		// The last ACK of a handshake that began before the queue was full is
		// dropped as well: its SYN-ACK is repeated. Meanwhile it keeps its place among the
		// half-open ones, which are as few as the backlog: when they are taken, the kernel
		// answers with cookies.
		Allowed: []string{"synack-retransmit", "syn-cookies", "syn-recv-pileup", "rtt-spike", "slow-application", "retransmission-burst", "tuning"},
	},
	Run: runListenOverflow,
}

// runListenOverflow lets the server accept too slowly. The kernel drops a SYN that finds
// the accept queue full (net/ipv4/tcp_input.c, tcp_conn_request), and the last ACK of a
// handshake as well (tcp_ipv4.c, tcp_v4_syn_recv_sock); both count as ListenOverflows
// and ListenDrops. Full is more than the backlog: a queue of 8 holds 9.
// The clients' timers are the kernel's own, so their SYNs follow its real schedule.
func runListenOverflow(s *lab.Stage) {
	api := s.Open(8080, actor.Server{Comm: "shop-api", Backlog: s.Number("backlog")})

	s.Begin("shop-api falls behind: it accepts one connection per %v", s.Duration("pace"))
	api.Tell("accept %v", s.Duration("pace"))
	s.Load(s.Clients(), s.Edge(), 8080, actor.Client{Group: "crowd", Comm: "bargain-hunter",
		Rate: s.Rate("crowd") / 2, Count: s.Number("crowd"), Requests: 1})
	s.Sleep(s.Duration("stall"))
	s.Step("shop-api accepts at once again")
	api.Tell("accept 0s")
}
