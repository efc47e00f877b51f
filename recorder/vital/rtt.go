//go:build linux

package vital

import (
	"encoding/binary"
	"errors"
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
		{"rtt.excess.p99", "s", "99th percentile of what a sample is above the least of its own connection (tcpi_min_rtt)"},
		{"rtt.excess.max", "s", "most that a sample is above the least of its own connection"},
		{"rtt.late", "1", "connections with a round trip of 200 ms or more, or of what a trigger on rtt calls so, within the last 2 s; of copies, as of retrans.connections, each address once, and each of more than 16"},
	},
	Variants: []Variant{
		{Name: "ebpf", Open: openRTTs},
		{Name: "sock_diag", Lack: "polls each connection's smoothed RTT once a second, so single late exchanges are missed",
			Open: openRTTPoll},
	},
}

// crowdCounters tell how much there is to look at: segments that came in, and connections that are open.
var crowdCounters = []string{"Tcp InSegs", "Tcp CurrEstab"}

// rttReader gives the quantiles of the last second's samples: a tick alone has too few on a
// quiet host for its 99th percentile to mean anything.
type rttReader struct {
	env             Env
	samples, excess ring.Second[probe.Histogram]
	counters        *counters // nil where nothing tells of segments: then, and where they fail, all connections are looked at
	names           [][]string
	crowd           []uint64 // crowdCounters' values
	segments        uint64   // at the tick before
	at              time.Time
}

func openRTTs(env Env) (Reader, error) {
	if err := env.refusal("rtt"); err != nil {
		return nil, err
	}
	r := &rttReader{env: env, crowd: make([]uint64, len(crowdCounters))}
	for _, name := range crowdCounters {
		r.names = append(r.names, []string{name})
	}
	if c := env.shared(); c.open() == nil {
		r.counters = c
	}
	return r, nil
}

func (r *rttReader) Read(now time.Time, out []float64) error {
	err := r.look(now)
	if err := r.env.Probes.RTT.Read(r.samples.Push(probe.Histogram{}), r.excess.Push(probe.Histogram{})); err != nil {
		return err
	}
	if sum := merged(&r.samples); sum.Count > 0 {
		out[0], out[1] = sum.Quantile(0.5).Seconds(), sum.Quantile(0.99).Seconds()
		out[2] = sum.Max.Seconds()
	}
	if sum := merged(&r.excess); sum.Count > 0 {
		out[3], out[4] = sum.Quantile(0.99).Seconds(), sum.Max.Seconds()
	}
	if r.env.Peers == nil {
		return err
	}
	late, failed := r.env.Peers.slow()
	out[5] = late
	return errors.Join(err, failed)
}

// look has the probe look at as many connections as this tick's rate allows.
func (r *rttReader) look(now time.Time) error {
	if r.counters == nil {
		return nil
	}
	if r.counters.read(now, r.names, r.crowd) != nil { // those whose vitals they are tell of it
		return r.env.Probes.RTT.LookAt(now, 0, 0)
	}
	before, elapsed := r.segments, now.Sub(r.at).Seconds()
	r.segments, r.at = r.crowd[0], now
	if r.segments < before || elapsed <= 0 {
		return nil
	}
	return r.env.Probes.RTT.LookAt(now, float64(r.segments-before)/elapsed, float64(r.crowd[1]))
}

// Close leaves the probe to the recorder.
func (r *rttReader) Close() error {
	if r.counters == nil {
		return nil
	}
	return r.counters.close()
}

func merged(ticks *ring.Second[probe.Histogram]) (sum probe.Histogram) {
	for h := range ticks.All() {
		sum.Merge(h)
	}
	return sum
}

const (
	// pollEvery is how often sockets are dumped where no probe tells: see pace.
	pollEvery = time.Second
	// pollSockets caps a poll: 5,000 tcp_infos take some 5 ms.
	pollSockets = 5000
	// lateRTT is what the probe calls late where no trigger says so, in seconds.
	lateRTT = 0.2
)

// rttPoll reads tcp_info's smoothed RTT of the connections that moved data lately.
type rttPoll struct {
	pace
	rtts, excess []float64  // s, of a poll, which owns these and the next while it goes on
	polled       [6]float64 // their quantiles
	value        [6]float64
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
	r.rtts, r.excess = r.rtts[:0], r.excess[:0]
	q := sockdiag.Query{States: 1 << sockdiag.Established, Detail: true, Buffer: buf}
	err := sockdiag.Dump(q, func(s *sockdiag.Socket) bool {
		if us, least, fresh := smoothedRTT(s.Info); fresh {
			r.rtts = append(r.rtts, us/1e6)
			r.excess = append(r.excess, max(0, us-least)/1e6)
		}
		return len(r.rtts) < pollSockets
	})
	// An idle host has no round-trip time, rather than one of 0 or the last that there was.
	for i := range r.polled {
		r.polled[i] = math.NaN()
	}
	if n := len(r.rtts); n > 0 {
		slices.Sort(r.rtts)
		slices.Sort(r.excess)
		first, _ := slices.BinarySearch(r.rtts, lateRTT)
		late := float64(n - first)
		r.polled = [6]float64{r.rtts[n/2], r.rtts[n*99/100], r.rtts[n-1], r.excess[n*99/100], r.excess[n-1], late}
	}
	return err
}

// Offsets in struct tcp_info (include/uapi/linux/tcp.h), the same on every kernel.
const (
	tcpInfoLastDataSent = 44  // tcpi_last_data_sent, ms
	tcpInfoLastDataRecv = 52  // tcpi_last_data_recv, ms
	tcpInfoLastAckRecv  = 56  // tcpi_last_ack_recv, ms
	tcpInfoRTT          = 68  // tcpi_rtt, µs
	tcpInfoMinRTT       = 148 // tcpi_min_rtt, µs
	tcpInfoDataSegsIn   = 152 // tcpi_data_segs_in
	tcpInfoDataSegsOut  = 156 // tcpi_data_segs_out
)

// smoothedRTT gives tcpi_rtt and tcpi_min_rtt in µs, and whether an ACK came within the last
// second: an idle connection keeps its last RTT for ever.
func smoothedRTT(info []byte) (us, least float64, fresh bool) {
	if len(info) < tcpInfoMinRTT+4 {
		return 0, 0, false
	}
	age := native.Uint32(info[tcpInfoLastAckRecv:])
	return float64(native.Uint32(info[tcpInfoRTT:])), float64(native.Uint32(info[tcpInfoMinRTT:])),
		age <= uint32(pollEvery/time.Millisecond)
}

func (r *rttPoll) Close() error {
	r.close()
	return nil
}

var native = binary.NativeEndian
