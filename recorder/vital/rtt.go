//go:build linux

package vital

import (
	"encoding/binary"
	"math"
	"slices"
	"time"

	"github.com/spikebox/spikebox/recorder/internal/nldump"
	"github.com/spikebox/spikebox/recorder/internal/sockdiag"
	"github.com/spikebox/spikebox/recorder/probe"
	"github.com/spikebox/spikebox/recorder/ring"
)

var rttMeter = &Meter{
	ID:  "rtt",
	Doc: "round-trip times of this namespace's TCP connections, over the last second of ticks",
	Vitals: []Vital{
		{"rtt.p50", "s", "median of the round-trip samples"},
		{"rtt.p99", "s", "99th percentile of the round-trip samples"},
		{"rtt.max", "s", "longest round-trip sample"},
	},
	Variants: []Variant{
		probeVariant("rtt", readRTTs),
		{Name: "sock_diag", Lack: "polls each connection's smoothed RTT once a second, so single late exchanges are missed",
			Open: openRTTPoll},
	},
}

// readRTTs gives the quantiles of the last second's samples: a tick alone has too few on a
// quiet host for its 99th percentile to mean anything.
func readRTTs(env Env) probed {
	var ticks ring.Second[probe.Histogram]
	var sum probe.Histogram
	return func(_ time.Time, out []float64) error {
		if err := env.Probes.RTT.Read(ticks.Push(probe.Histogram{})); err != nil {
			return err
		}
		sum = probe.Histogram{}
		for h := range ticks.All() {
			sum.Merge(h)
		}
		if sum.Count > 0 {
			out[0], out[1] = sum.Quantile(0.5).Seconds(), sum.Quantile(0.99).Seconds()
			out[2] = sum.Max.Seconds()
		}
		return nil
	}
}

const (
	// pollEvery is how often sockets are dumped where no probe tells: see pace.
	pollEvery = time.Second
	// pollSockets caps a poll: 5,000 tcp_infos take some 5 ms.
	pollSockets = 5000
)

// rttPoll reads tcp_info's smoothed RTT of the connections that moved data lately.
type rttPoll struct {
	pace
	rtts   []float64  // of a poll, which owns this and the next while it goes on
	polled [3]float64 // their quantiles
	value  [3]float64
}

func openRTTPoll(Env) (Reader, error) {
	r := &rttPoll{}
	buf := nldump.Buffer()
	r.pace = pace{every: pollEvery, share: pollShare, ask: func() error { return r.poll(buf) }}
	// A first poll shows whether sock_diag answers at all.
	err := r.open()
	r.value = r.polled
	return r, err
}

func (r *rttPoll) Read(now time.Time, out []float64) error {
	fresh, err := r.run(now)
	if fresh {
		r.value = r.polled
	}
	if err == nil {
		copy(out, r.value[:])
	}
	return err
}

func (r *rttPoll) poll(buf []byte) error {
	r.rtts = r.rtts[:0]
	q := sockdiag.Query{States: 1 << sockdiag.Established, Detail: true, Buffer: buf}
	err := dumpAll(q, func(s *sockdiag.Socket) bool {
		if us, fresh := smoothedRTT(s.Info); fresh {
			r.rtts = append(r.rtts, us/1e6)
		}
		return len(r.rtts) < pollSockets
	})
	// An idle host has no round-trip time, rather than one of 0 or the last that there was.
	r.polled = [3]float64{math.NaN(), math.NaN(), math.NaN()}
	if n := len(r.rtts); n > 0 {
		slices.Sort(r.rtts)
		r.polled = [3]float64{r.rtts[n/2], r.rtts[(n*99)/100], r.rtts[n-1]}
	}
	return err
}

// Offsets in struct tcp_info (include/uapi/linux/tcp.h), the same on every kernel.
const (
	tcpInfoLastAckRecv = 56 // tcpi_last_ack_recv, ms
	tcpInfoRTT         = 68 // tcpi_rtt, µs
)

// smoothedRTT gives tcpi_rtt in µs, and whether an ACK came within the last second: an
// idle connection keeps its last RTT for ever.
func smoothedRTT(info []byte) (us float64, fresh bool) {
	if len(info) < tcpInfoRTT+4 {
		return 0, false
	}
	age := native.Uint32(info[tcpInfoLastAckRecv:])
	return float64(native.Uint32(info[tcpInfoRTT:])), age <= uint32(pollEvery/time.Millisecond)
}

func (r *rttPoll) Close() error {
	r.close()
	return nil
}

var native = binary.NativeEndian
