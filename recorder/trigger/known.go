package trigger

import (
	"math"

	"github.com/spikebox/spikebox/format/unit"
)

// floors are the least baselines, by vital. They keep a factor meaningful on a quiet host,
// where the usual value is near zero and anything would be many times it.
var floors = map[string]float64{
	// 40 ms: the least time for which Linux delays an ACK (TCP_DELACK_MIN). On a calm network
	// the slowest hundredth of the samples are delayed ACKs, and five times less is no news.
	"rtt.p99": 0.040,
	"rtt.max": 0.040, "rtt.excess.p99": 0.040, "rtt.excess.max": 0.040,
	// 1 ms, so that 5x is 5 ms: at 10 Gbit/s a 4096-descriptor ring overflows in about that.
	"softirq.max": 0.001,
	// 4/s, so that 5x is 20/s: each is somebody who waits, and the retries of one pool of dead
	// upstreams are fewer.
	"syn.retrans": 4, "established.resets": 4, "no.route": 4,
	// 6/s, so that 5x is 30/s: six connections of one browser that is cut off time out twice each
	// in their first second, beside what is ordinary.
	"rto": 6,
	// 2/s: what a proxy checks of its upstreams each second, and finds dead; datagrams of which
	// two make the same entry at once.
	"connect.failed": 2, "forward.refused": 2, "conntrack.drops": 2,
	// 2/s, so that 5x is 10/s: a pool's oldest connections that the other side ends, a shipper that tries again.
	"upstream.dismissed": 2,
	// Shares for small hosts, where one connection more or less is a tenth of a second's: 3x is a
	// quarter of the handshakes, half of the connects, and resets for three connections of ten.
	// Of packets it is a tenth, and of segments a twentieth: some ten make up a request.
	"rto.ratio":         1.0 / 60,
	"syn.retrans.ratio": 1.0 / 12, "connect.failed.ratio": 1.0 / 6, "upstream.dismissed.ratio": 1.0 / 6, "serve.dismissed.ratio": 1.0 / 6, "established.resets.ratio": 0.1, "no.route.ratio": 1.0 / 30,
	// 1/s, so that 3x is 3/s: somebody tries this or that port of any host.
	"resets": 1,
	// 1.2, so that 5x is six: what a browser opens at once, and more than checks of dead servers are.
	"tcp.syn_sent": 1.2, "forward.waiting": 1.2, "forward.stalled": 1.2, "forward.hung": 1.2, "forward.unanswered": 1.2, "udp.unanswered": 1.2,
	// 0.25 s, so that 10x is 2.5 s. Of clients that ask independently, rate r, nine of ten pauses are below 2.3/r, and one
	// of e^23 is ten times that: none in years. Over five times it lay one a day.
	"serve.silence": 0.25,
	// 1.5, so that 5x is eight: more than the six of one browser and a long poll beside them.
	"serve.waiting": 1.5,
	// 3, so that 2x is six, what a browser opens at once. Where three lose something in any three seconds, seven do
	// in thirty of the thousand that a copy takes.
	"retrans.connections": 3,
	// 5/s, so that 2x is 10/s: a page over a radio link loses as many.
	"retrans.others": 5,
	// 4, so that 5x is twenty: three browsers' at once, of one household.
	"connections.stalled": 4,
	// 3, so that 3x is nine within three seconds: a browser that closes leaves six.
	"close_wait.growth": 3,
	// 0.6, so that 5x is three addresses: a household that is banned and tries on, some scanners, three heavy requests.
	"filtered.clients": 0.6, "peers.stalled": 0.6, "serve.hung": 0.6,
	// 50, so that 5x is 250: a port scan has some hundred open at once, a deploy as many.
	"syn_recv": 50,
	// A third of 1 %, so that 3x is 1 %, at which a connection over 50 ms gets 2.8 Mbit/s of any line (Mathis et al.
	// 1997: 1.22 MSS / (RTT sqrt(p))).
	"retrans.ratio": 1.0 / 300, "forward.retrans.ratio": 1.0 / 300,
	// 125 ms, so that 4x is half a second: what takes one breaks a user's thought (Nielsen 1993).
	"serve.p99": 0.125, "serve.max": 0.125, "upstream.p99": 0.125, "upstream.max": 0.125, "connect.p99": 0.125, "connect.max": 0.125,
}

// unitFloors are those of all other vitals, by unit.
var unitFloors = map[string]float64{
	unit.Seconds:   0.010,   // 10 ms: five times less than that is no incident
	unit.One:       10,      // one browser opens six connections at once
	unit.PerSecond: 10,      // a single client's retries are a few a second
	unit.Ratio:     0.01,    // 1 %: TCP is slow from 1 or 2 % loss on
	unit.Bytes:     1 << 20, // 1 MiB: buffers of a handful of sockets
}

// ceilings are what can be taken for usual at most by a recorder that does not know a host yet, by vital: it may
// have been armed in the middle of an incident, and then what it has seen is that. They are above what is ordinary at
// nearly all hosts, so that what is beyond a factor of them is worth a bundle once, and with a lossy host's
// own usual it is none any more as soon as that is known. What grows with a host has none.
var ceilings = map[string]float64{
	// 3x is 12 %, where TCP hardly moves: 4 % is a bad mobile network's.
	"retrans.ratio": 0.04, "forward.retrans.ratio": 0.04,
	// 2x is twelve connections, and sixty segments a second.
	"retrans.connections": 6, "retrans.others": 30,
	// 3x is half of the handshakes, and 15 % of what is sent.
	"syn.retrans.ratio": 1.0 / 6, "rto.ratio": 0.05,
	// 3x is half of the requests.
	"upstream.dismissed.ratio": 1.0 / 6, "serve.dismissed.ratio": 1.0 / 6,
	// 3x is 30 % of the packets.
	"no.route.ratio": 0.1,
	// 5x is twenty connections, and fifty addresses: all are counted only where somebody was served before.
	"forward.waiting": 4, "forward.unanswered": 4, "udp.unanswered": 4, "filtered.clients": 10,
	// 5x is two seconds above each connection's own least.
	"rtt.excess.p99": 0.4,
}

// ceiling is a condition's, infinite where it has none.
func ceiling(c *Condition) float64 {
	if most, ok := ceilings[c.Vital]; ok {
		return most
	}
	return math.Inf(1)
}

func floor(c *Condition) float64 {
	if f, ok := floors[c.Vital]; ok {
		return f
	}
	return unitFloors[c.Unit]
}

// bounds are the largest values that vitals can have, where what they count is a part of
// what they are compared with at the same moment. An accept queue holds one more than its
// limit, and nf_conntrack_max may be lowered below what is there: those have none.
var bounds = map[string]float64{
	"retrans.ratio": 1, "forward.retrans.ratio": 1, "syn.retrans.ratio": 1, "no.route.ratio": 1, "rto.ratio": 1, "cpu.softirq": 1, "cpu.steal": 1, "ports.fill": 1,
	"upstream.dismissed.ratio": 1, "serve.dismissed.ratio": 1, "psi.cpu": 1, "psi.memory": 1, "psi.io": 1, "mem.pressure": 1,
}

func bound(vital string) float64 {
	if most, ok := bounds[vital]; ok {
		return most
	}
	return math.Inf(1)
}
