package trigger

// Default is a trigger that a recorder is armed with where it is given none.
type Default struct {
	Expr    string
	Why     string // its limit and its hold, by mechanism
	Catches string // which incidents
	False   string // in which ordinary life it fires
}

// Defaults are what hurts users and what a healthy host has hardly ever. A number that grows
// with a host's traffic, or that ordinary life moves, is measured against the host's own
// usual (5x), from a floor on (known.go); what is wrong at any size is a number. Sockets that
// nobody closed grow with any rush of clients, so that their factor is 10. A rate that must not
// wake anybody for one client is never reached where there are few: beside it stands a share of
// what the host does, or a number of addresses, which is as true of a small host.
var Defaults = []Default{
	{"listen.overflows > 0", "the kernel has turned a client away, who waits a second at least",
		"accept overflow", "none known"},
	{"accept.stalled > 2s", "who came first has waited that long for accept(2); a pause of a garbage collector is shorter",
		"frozen or stopped application, one hung worker", "a service that listens more than a minute before it is ready"},
	{"serve.p99 > 4x for 1500ms", "at least half a second, for the slowest hundredth of what this host answers; one slow answer is in it for less than a second",
		"slow application, slow upstream, too little CPU", "a batch of heavy requests where there are few others; long polling, and streams whose server speaks every few seconds, where they are new"},
	{"serve.waiting > 5x for 500ms", "eight connections at least that had no answer for a second, at two looks: an application that hangs gives no response time that could be measured",
		"hung application, pool of workers or connections used up, silent upstream, dead resolver", "a batch of heavy requests where there are few others; many clients that send what wants no answer, or poll for long, and begin at once"},
	{"serve.hung > 5x for 500ms", "more than three addresses that have waited for a second, and since they asked their port, which is known to answer, has answered nobody: on a host of few requests, too",
		"hung application that accepts, behind a lock, a log that blocks or a database", "some heavy requests where there are no others"},
	{"serve.silence > 10x and serve.asked > 10", "nobody was answered for 2.5 s at least and ten times as long as nine of ten pauses, and more than ten questions came meanwhile, be it on one connection",
		"hung application whose requests share connections: HTTP/2, gRPC, a proxy's pool, a database", "one program that asks all the time, ends, and begins to send what wants no answer"},
	{"serve.silence > 10x and clients.silent > 6", "more than six addresses that asked until a moment and are silent since, 2.5 s at least and ten times as long as nine of ten pauses, on connections that nobody closed: who leaves closes",
		"a network's clients vanishing, a dead or misdirected path to this host: switch, route, address, a filter before it", "a balancer or an anycast route that takes its clients elsewhere at once; many programs that begin to ask in step, once"},
	{"upstream.dismissed > 5x for 1250ms", "at least 10/s; what the restart of an upstream breaks off at once is a rate for less than a second",
		"upstream that breaks off in place of an answer: a crashing worker, a limit of its own, a balancer without a backend", "a rolling restart of many upstreams; shippers of logs that the other side ends again and again, where that is new"},
	{"upstream.dismissed.ratio > 3x for 1250ms and upstream.dismissed > 2 for 1250ms", "on a small host: half of what it asks",
		"upstream that breaks off in place of an answer, on a small host", "a shipper of logs that the other side ends again and again, where little else is"},
	{"serve.dismissed.ratio > 3x for 1250ms and serve.dismissed > 4 for 1250ms", "half of what this host is asked; scanners that it turns away without a word are fewer, or were as many before",
		"workers that crash, application that breaks off in place of an answer", "a flood of bots that a rule ends without a word (nginx 444), where there are few others"},
	{"syn.retrans > 5x", "each is a connection that is late by a second or more, in either direction; at least 20/s",
		"upstream black hole, dead neighbour, SYN-ACKs lost or dropped", "none known"},
	{"syn.retrans.ratio > 3x for 1s and syn.retrans > 2 for 1s", "on a host that 20/s would be many for: a quarter of its handshakes; what one client repeats at once is a rate for less than a second",
		"upstream black hole, SYN-ACKs or final ACKs lost, on a small host", "one client that opens many connections to a dead address, where little else is"},
	{"tcp.syn_sent > 5x for 1s", "own connects wait a round trip for their answer; more than six that wait for a second are more than one program's to one address",
		"upstream black hole, dead neighbour, on a host of any size", "a program of this host that tries many dead addresses: a scan, a crawler"},
	{"filtered.clients > 5x", "more than three that own rules have kept waiting for a second at a port that is listened on; a scan waits for nobody",
		"SYNs, final ACKs or answers dropped by an own rule", "many addresses banned at once that go on trying"},
	{"syn_recv > 5x for 500ms", "half-open connections last a round trip; five times as many, and 250 at least, is another path or a flood",
		"SYN flood, SYN-ACKs lost", "a scan faster than the SYN queue's timers"},
	{"rto > 5x", "a timeout means that nothing came back for a round trip and 200 ms at least; at least 30/s",
		"a network's clients vanishing, upstream black hole, bursts of loss", "a large radio cell that loses its customers at once"},
	{"rto.ratio > 3x for 2500ms and rto > 4 for 2500ms", "on a small host: a twentieth of what it sends; what times out at once has a pause after 2.4 s, as its timer doubles",
		"dead neighbour, upstream black hole, on a small host", "one upstream of many that is away, where little else is"},
	{"peers.stalled > 5x for 1s", "more than three addresses at once that nothing has come from for a round trip, 600 ms at least: users, however few packets they are",
		"SYN-ACKs lost, path-MTU black hole, a network's clients vanishing", "a radio cell that loses its customers at once"},
	{"connections.stalled > 5x for 1s", "more than twenty connections that nothing has come on for 600 ms at least: of a network behind one address, or of a pool",
		"a network's clients vanishing behind one translator, upstream black hole under connections that were open", "one client of many connections that is cut off, where there are few others"},
	{"retrans.ratio > 3x for 1500ms and retrans.others > 2x for 1500ms and retrans.connections > 2x", "from 1 % loss on TCP is slow; at least that, of more than ten segments a second that are not a copy's, which fills the queue that drops, and of more than six connections",
		"loss on the path, own queue that drops, receive backlog that drops", "a backup that takes more than sixteen connections, on its first nights"},
	{"rtt.excess.p99 > 5x for 2s and rtt.late > 2 for 2s", "at least 200 ms above each connection's own least: a client that is far away is no news; the slowest hundredth, so that one network among many is seen, and more than two connections of it that are not a copy's",
		"bufferbloat, slow line, one network's slow line", "a client that fills its own line with several connections, where there are few others"},
	{"established.resets > 5x for 1250ms", "at least 20/s; what a restart resets at once is a rate for less than a second",
		"resets by a middlebox or a guard", "a rolling restart of many small services"},
	{"established.resets.ratio > 3x for 1500ms and established.resets > 2 for 1500ms", "on a small host: as many as three in ten of its new connections",
		"resets by a middlebox or a guard, on a small host", "probes of a load balancer that end by a reset, from the moment on that it is there"},
	{"connect.failed > 5x for 2s", "at least 10/s of this host's own connects; health checks to a dead upstream are usual by then",
		"upstream that refuses or cannot be reached", "an upstream that restarts for more than two seconds"},
	{"connect.failed.ratio > 3x for 2s and connect.failed > 4 for 2s", "on a small host: half of its connects; checks of a dead server are fewer",
		"upstream that refuses or cannot be reached, on a small host", "an upstream that restarts for more than two seconds"},
	{"forward.waiting > 5x for 500ms", "on a router, a NAT gateway or a host of containers, whose own counters stand still: more than six connections whose repeated SYN was not answered either, by what has answered before; a scan asks what never did",
		"upstream behind this host that is dead, next hop that is gone or drops", "a service that is taken away for good while its clients still ask; a crawler behind this host that a site shuts out"},
	{"forward.refused > 5x for 1500ms", "at least 10/s, of services behind this host that answered before",
		"crashed service behind this host", "a service that restarts for more than two seconds"},
	{"forward.retrans.ratio > 3x for 1500ms and forward.lossy > 10 for 1500ms", "on a router or a host of containers: from 1 % of what it forwards, and of more than ten connections, which is more than one customer's radio",
		"loss on a path behind this host, own rule or queue that drops what is forwarded", "an uplink that is full, on its first evenings"},
	{"forward.stalled > 5x for 500ms", "more than six that have sent again for 600 ms and heard nothing: connections to a service that is silent to everybody, or clients that are themselves",
		"next hop or upstream that is gone under connections that were open, a network's clients vanishing behind this host", "a radio cell behind this host that loses its customers at once"},
	{"forward.hung > 5x for 500ms", "more than six questions that wait for longer than a second and twice as long as any of late, for a service that answers nobody meanwhile",
		"application behind this host, or in one of its containers, that hangs and whose kernel accepts", "a service behind this host that stands still for a second and a half, as for a full collection of garbage"},
	{"forward.unanswered > 5x for 500ms", "more than six flows of UDP that wait for longer than a second and than they ever did, for what has answered before, and nobody since",
		"resolver or other service of UDP behind this host that is dead", "a resolver behind this host, with many questions for a server that goes away"},
	{"listeners.gone > 0 for 1750ms and resets > 3x for 1500ms", "a service is gone for longer than a restart, and clients ask for it: at least 3/s",
		"crashed service", "a service that is stopped for good while its clients still ask"},
	{"links.lost > 0 for 250ms", "an interface that was in use has no link, or had none a moment ago: what was on its way is sent again after TCP's timers; one that goes with its container is gone at once",
		"flapping link, cable, switch port, transceiver, driver that resets", "a cable that is moved, an interface whose driver is set anew (ethtool -G)"},
	{"no.route > 5x", "at least 20/s; without a route each answer is lost",
		"replies without a route", "an interface that is taken down"},
	{"no.route.ratio > 3x for 1s and no.route > 2 for 1s", "on a small host: a tenth of what it sends",
		"replies without a route, on a small host", "a job that tries many addresses of IPv6 on a host without"},
	{"address.conflicts > 0", "who has the address is asked by some only, and neighbours change their minds, or this host does not use it (IPv6); who takes one over speaks alone a second later",
		"duplicate address, split brain of a failover pair", "a failover in which the old owner keeps the address for seconds"},
	{"cookies > 5x", "at least 50/s: the SYN queue is full",
		"SYN flood with cookies", "a flash crowd on a short backlog"},
	{"ports.fill > 90%", "connect(2) is about to fail for want of a port",
		"port exhaustion", "none known"},
	{"conntrack.fill > 95%", "at 100 % every new connection is dropped without a word",
		"conntrack full", "none known"},
	{"conntrack.drops > 5x", "at least 10/s; a few are clashes of datagrams that came at once",
		"conntrack full", "none known"},
	{"softnet.drops > 5x", "at least 50/s: a CPU cannot receive what comes, whoever it is for",
		"receive backlog that drops, one CPU that receives all", "a burst of datagrams that nobody misses"},
	{"softirq.max > 100ms for 1500ms", "one CPU receives nothing for a tenth of a second, twice within two seconds: not one pause of a virtual CPU",
		"receive-queue collapse, huge rule sets", "a hypervisor that takes the CPU again and again"},
	{"udp.rcvbuf > 5x for 1s", "at least 50/s: a program reads its datagrams too slowly",
		"UDP receive-buffer overflow", "a burst of logs that nobody misses"},
	{"udp.stalled > 1500ms", "who came first has waited that long for recvmsg(2), of a service that read within a second before, and others ask on; a pause of a garbage collector is shorter",
		"frozen or stopped application that is asked by UDP: a resolver, a RADIUS or a SIP server", "a program that opens a port and does not read it, once, as the first broadcasts come"},
	{"udp.unanswered > 5x for 500ms", "more than six flows that wait for longer than a second and than they ever did, for a service of this host that has answered before, and nobody since",
		"service of UDP that reads and answers nobody: a resolver without upstreams, a RADIUS server without its database", "a service that asks another one first, which is silent for longer than a second"},
	{"tcp.close_wait > 10x for 10s", "at least 100 that the program was told of and did not close, this host's own connections too; what it notices when it next writes is less for as long",
		"CLOSE_WAIT pile-up", "clients that close their half and read on; a large pool whose upstream ends what is idle"},
	{"close_wait.growth > 3x for 5s", "accepted connections whose clients have gone, and which the program does not close: at least ten more within 3 s, for 5 s; clients that leave together are so for 3 s",
		"CLOSE_WAIT pile-up, from a few connections on and on a host of any size", "a program that notices only when it next writes, in a rush of clients that leave"},
	{"tcp.fin_wait2 > 10x for 2s", "at least 100 whose peers did not close",
		"FIN_WAIT2 pile-up", "a flash crowd after a very quiet hour"},
	{"mem.pressure > 0", "TCP shrinks every window and drops what comes out of order",
		"memory pressure of TCP", "none known"},
	{"psi.memory > 20% for 2s", "tasks wait for memory a fifth of the time: pages that they need are read again and again",
		"memory pressure of the host", "a large build on a small host"},
}

// Expressions are those of the default triggers.
func Expressions() []string {
	all := make([]string, len(Defaults))
	for i, d := range Defaults {
		all[i] = d.Expr
	}
	return all
}
