//go:build linux

package vital

import (
	"time"

	"github.com/spikebox/spikebox/recorder/probe"
)

// tcpVital is a vital that counts: the events of its counters in a second, without those
// that others count as well, or their share of the events that others count.
type tcpVital struct {
	Vital
	counters []string // "GROUP NAME" of /proc/net/netstat and snmp, "NAME" of snmp6; one that this kernel does not have counts 0
	less     []string // counters of events that are not meant
	of       []string // a ratio's denominator
	// harmless is what probes tell that is not meant, in place of less; nil: nothing.
	harmless func(*probe.Tally) uint64
	// instead is what probes tell in place of its counters; nil: nothing.
	instead func(*probe.Tally) uint64
}

func unasked(t *probe.Tally) uint64   { return t.Unasked }
func farewells(t *probe.Tally) uint64 { return t.Farewells }
func timeouts(t *probe.Tally) uint64  { return t.Timeouts }

// tcpVitals is every vital of the counters of IP, TCP and UDP. A new one is a row.
var tcpVitals = []tcpVital{
	{Vital: Vital{"listen.overflows", "1/s", "connections dropped because an accept queue was full (TcpExt ListenOverflows)"},
		counters: []string{"TcpExt ListenOverflows"}},
	{Vital: Vital{"listen.drops", "1/s", "SYNs and final ACKs that listeners dropped for any reason (TcpExt ListenDrops)"},
		counters: []string{"TcpExt ListenDrops"}},
	{Vital: Vital{"cookies", "1/s", "SYN queue full: cookies sent, or SYNs dropped (TcpExt SyncookiesSent, TCPReqQFullDrop)"},
		counters: []string{"TcpExt SyncookiesSent", "TcpExt TCPReqQFullDrop"}},
	// Nobody waits for a SYN-ACK whose timer ends while no SYN is repeated: it is a scanner's, or an address's that
	// somebody made up. Who has a connection, and whose last ACK was lost, sends it again with data.
	{Vital: Vital{"syn.retrans", "1/s", "SYNs sent again, and SYN-ACKs for clients that have repeated their SYN, as far as eBPF tells them apart (TcpExt TCPSynRetrans)"},
		counters: []string{"TcpExt TCPSynRetrans"}, harmless: unasked},
	// The least share of handshakes that somebody waits for: of a small host, where no rate is
	// ever large. A connection that is deferred (TCP_DEFER_ACCEPT) has its bare ACK dropped once,
	// and its SYN-ACK sent again once (tcp_minisocks.c, tcp_check_req; syn_ack_recalc).
	{Vital: Vital{"syn.retrans.ratio", "ratio", "the same, but for deferred connections, of SYNs and SYN-ACKs sent again and of connections begun and accepted (Tcp ActiveOpens, PassiveOpens)"},
		counters: []string{"TcpExt TCPSynRetrans"}, less: []string{"TcpExt TCPDeferAcceptDrop"},
		of: []string{"TcpExt TCPSynRetrans", "Tcp ActiveOpens", "Tcp PassiveOpens"}, harmless: unasked},
	// OutSegs leaves out what carries only retransmitted bytes (RFC 4022, tcpOutSegs;
	// net/ipv4/tcp_output.c, __tcp_transmit_skb), so all sent is the sum.
	{Vital: Vital{"retrans.ratio", "ratio", "segments sent again, of all sent (Tcp RetransSegs, OutSegs)"},
		counters: []string{"Tcp RetransSegs"}, of: []string{"Tcp OutSegs", "Tcp RetransSegs"}},
	{Vital: Vital{"retrans", "1/s", "segments sent again (Tcp RetransSegs)"},
		counters: []string{"Tcp RetransSegs"}},
	{Vital: Vital{"resets", "1/s", "RSTs sent, and connections that peers reset (Tcp OutRsts, EstabResets)"},
		counters: []string{"Tcp OutRsts", "Tcp EstabResets"}},
	{Vital: Vital{"rto", "1/s", "retransmission timeouts that fired, those of SYNs too, and not those of SYN-ACKs, as far as eBPF tells them apart (TcpExt TCPTimeouts)"},
		counters: []string{"TcpExt TCPTimeouts"}, instead: timeouts},
	// The timer of a deferred connection's SYN-ACK fires, too, though nothing is sent again.
	{Vital: Vital{"rto.ratio", "ratio", "such timeouts, of all segments sent (Tcp OutSegs)"},
		counters: []string{"TcpExt TCPTimeouts"}, instead: timeouts, less: []string{"TcpExt TCPDeferAcceptDrop"}, of: []string{"Tcp OutSegs", "Tcp RetransSegs"}},
	// What leaves ESTABLISHED or CLOSE_WAIT for CLOSE without a FIN, whoever's doing it is
	// (net/ipv4/tcp.c, tcp_set_state): an abort of this host counts once here, and twice in resets.
	{Vital: Vital{"established.resets", "1/s", "connections that ended by a RST of either side or by timeout, each once, but for clients that had acknowledged all of the answer, as far as eBPF tells them apart (Tcp EstabResets)"},
		counters: []string{"Tcp EstabResets"}, harmless: farewells},
	{Vital: Vital{"established.resets.ratio", "ratio", "such ends, of connections begun and accepted in the same second (Tcp ActiveOpens, PassiveOpens)"},
		counters: []string{"Tcp EstabResets"}, of: []string{"Tcp ActiveOpens", "Tcp PassiveOpens"}, harmless: farewells},
	// AttemptFails counts in both directions: connect(2) that was refused, unreachable or timed
	// out (tcp.c, tcp_done), and half-open connections that a client reset (tcp_minisocks.c,
	// tcp_check_req), which EmbryonicRsts counts as well: each probe of a SYN scan is one.
	// A program that gives up first and closes its socket is in neither.
	{Vital: Vital{"connect.failed", "1/s", "this host's own connects that were refused, unreachable or timed out (Tcp AttemptFails without TcpExt EmbryonicRsts)"},
		counters: []string{"Tcp AttemptFails"}, less: []string{"TcpExt EmbryonicRsts"}},
	{Vital: Vital{"connect.failed.ratio", "ratio", "such failures, of connects begun in the same second (Tcp ActiveOpens)"},
		counters: []string{"Tcp AttemptFails"}, less: []string{"TcpExt EmbryonicRsts"}, of: []string{"Tcp ActiveOpens"}},
	// Once for each time that the window closes (tcp_output.c, tcp_select_window), while
	// TCPWantZeroWindowAdv counts each acknowledgement that would have closed it.
	{Vital: Vital{"zero.windows", "1/s", "receive windows of this host that closed, as its program does not read (TcpExt TCPToZeroWindowAdv)"},
		counters: []string{"TcpExt TCPToZeroWindowAdv"}},
	{Vital: Vital{"udp.rcvbuf", "1/s", "datagrams dropped because a socket's receive buffer was full (Udp RcvbufErrors, Udp6RcvbufErrors)"},
		counters: []string{"Udp RcvbufErrors", "Udp6RcvbufErrors"}},
	// Where rp_filter is 1 or 2 (systemd's default), a packet from where no route leads back is
	// dropped before any answer could fail (fib_frontend.c, __fib_validate_source).
	{Vital: Vital{"no.route", "1/s", "packets of this host that no route takes, and received ones to whose sender none leads (Ip OutNoRoutes, Ip6OutNoRoutes, TcpExt IPReversePathFilter)"},
		counters: []string{"Ip OutNoRoutes", "Ip6OutNoRoutes", "TcpExt IPReversePathFilter"}},
	// OutRequests counts what has a route (ip_output.c, __ip_local_out).
	{Vital: Vital{"no.route.ratio", "ratio", "such packets, of these and of what this host sends (Ip OutRequests, Ip6OutRequests)"},
		counters: []string{"Ip OutNoRoutes", "Ip6OutNoRoutes", "TcpExt IPReversePathFilter"},
		of:       []string{"Ip OutNoRoutes", "Ip6OutNoRoutes", "TcpExt IPReversePathFilter", "Ip OutRequests", "Ip6OutRequests"}},
}

var tcpMeter = &Meter{
	ID:       "tcp",
	Doc:      "counters of IP, TCP and UDP: /proc/net/netstat, snmp and snmp6",
	Vitals:   vitalsOf(tcpVitals),
	Variants: []Variant{{Name: "proc", Late: true, Open: openTCP}},
}

func vitalsOf(all []tcpVital) []Vital {
	vitals := make([]Vital, len(all))
	for i, v := range all {
		vitals[i] = v.Vital
	}
	return vitals
}

// tcpRate is the rates of a vital's sums.
type tcpRate struct{ rate, minus, whole rate }

// tcpReader reads the counters: of each vital three sums.
type tcpReader struct {
	counters *counters
	events   *probe.Events // nil where none is told
	names    [][]string
	sums     []uint64
	rates    []tcpRate   // by index of tcpVitals
	tally    probe.Tally // of a tick, kept for its memory
}

func openTCP(env Env) (Reader, error) {
	r := &tcpReader{counters: env.shared(), rates: make([]tcpRate, len(tcpVitals))}
	for _, v := range tcpVitals {
		r.names = append(r.names, v.counters, v.less, v.of)
	}
	r.sums = make([]uint64, len(r.names))
	if env.refusal("retransmit") == nil && env.refusal("reset") == nil {
		r.events = env.Probes.Events
	}
	return r, r.counters.open()
}

func (r *tcpReader) Read(now time.Time, out []float64) error {
	if err := r.counters.read(now, r.names, r.sums); err != nil {
		return err
	}
	if r.events != nil {
		r.tally = r.events.Tally()
		for i := range tcpVitals {
			if f := tcpVitals[i].harmless; f != nil {
				r.sums[3*i+1] = f(&r.tally)
			}
			if f := tcpVitals[i].instead; f != nil {
				r.sums[3*i], r.sums[3*i+1] = f(&r.tally), 0
			}
		}
	}
	for i := range r.rates {
		v, sums := &r.rates[i], r.sums[3*i:]
		out[i] = v.rate.add(now, sums[0])
		if minus := v.minus.add(now, sums[1]); tcpVitals[i].less != nil || tcpVitals[i].harmless != nil {
			// Below 0 only by the moment between two texts.
			out[i] = max(0, out[i]-minus)
		}
		if whole := v.whole.add(now, sums[2]); tcpVitals[i].of != nil {
			out[i] = ratio(out[i], whole)
		}
	}
	return nil
}

func (r *tcpReader) Close() error { return r.counters.close() }
