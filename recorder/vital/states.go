//go:build linux

package vital

import (
	"slices"
	"time"

	"github.com/spikebox/spikebox/recorder/internal/nldump"
	"github.com/spikebox/spikebox/recorder/internal/sockdiag"
	"github.com/spikebox/spikebox/recorder/probe"
)

// states are the TCP states with a vital each, by their numbers in
// include/net/tcp_states.h.
var states = []struct {
	number int
	vital  Vital
}{
	{1, Vital{"tcp.established", "1", "sockets in ESTAB"}},
	{2, Vital{"tcp.syn_sent", "1", "sockets in SYN_SENT: this host's own connection attempts"}},
	{4, Vital{"tcp.fin_wait1", "1", "sockets in FIN_WAIT1"}},
	{5, Vital{"tcp.fin_wait2", "1", "sockets in FIN_WAIT2: closed here, not yet by the peer"}},
	{8, Vital{"tcp.close_wait", "1", "sockets in CLOSE_WAIT: closed by the peer, not yet by the process here"}},
	{9, Vital{"tcp.last_ack", "1", "sockets in LAST_ACK"}},
	{11, Vital{"tcp.closing", "1", "sockets in CLOSING"}},
}

var stateMeter = &Meter{
	ID:     "states",
	Doc:    "this namespace's TCP sockets by state",
	Vitals: stateVitals(),
	Variants: []Variant{
		{Name: "ebpf", Open: openStates},
		{Name: "sock_diag", Lack: "counted once a second, a tick before it is shown, and up to 50,000 sockets", Open: openStateDump},
	},
}

func stateVitals() (all []Vital) {
	for _, s := range states {
		all = append(all, s.vital)
	}
	return append(all, Vital{"close_wait.growth", "1", "accepted connections that went to CLOSE_WAIT within the last 3 s, less those that left it"})
}

// growthOver is how far close_wait.growth looks back. Clients that all leave in one moment, as of a balancer that is
// restarted, make it large for so long, and a program that closes no more for as long as it does that.
const growthOver = 3 * time.Second

const (
	// statesEvery is when the live counts are set right by a dump: FIN_WAIT2 sockets
	// that no process holds any more change state without a tracepoint, and a socket
	// that was missed must not stay for ever.
	statesEvery = 10 * time.Second
	// statesCap is how many sockets are dumped regularly: 50,000 take some 15 ms. Of a host
	// with more the established ones keep their live count, which began with a dump of all, and
	// where the others are more, too, they all do.
	statesCap = 50_000
	statesAll = 2_000_000

	established = 1 // include/net/tcp_states.h
)

// stateReader counts by sock_diag now and then, and in between by the kernel's
// transitions where live is set.
type stateReader struct {
	pace
	live   *probe.States
	dumped [probe.TCPStates]int64 // by a dump, which owns it while it goes on
	want   uint32                 // states that are dumped, the same's
	whole  bool                   // dumped is of all sockets in them
	counts [probe.TCPStates]int64
	moved  probe.Transitions
	gained [probe.TCPStates]int64 // since the last dump began
	left   []remained             // of the last seconds, oldest first
}

// remained is how many accepted connections are in CLOSE_WAIT at a tick, on top of those that were at the first.
type remained struct {
	at time.Time
	n  int64
}

// growth is by how many they became more since growthOver; below 0 they became fewer.
func (r *stateReader) growth(now time.Time) float64 {
	to, from := r.live.AcceptedCloseWait()
	r.left = append(r.left, remained{now, int64(to - from)})
	for len(r.left) > 1 && now.Sub(r.left[1].at) >= growthOver {
		r.left = slices.Delete(r.left, 0, 1)
	}
	return float64(r.left[len(r.left)-1].n - r.left[0].n)
}

func openStates(env Env) (Reader, error) {
	if err := env.refusal("state"); err != nil {
		return nil, err
	}
	return newStates(env.Probes.States, pace{every: statesEvery, share: countShare})
}

func openStateDump(Env) (Reader, error) {
	return newStates(nil, pace{every: pollEvery, share: pollShare})
}

func newStates(live *probe.States, p pace) (Reader, error) {
	r := &stateReader{pace: p, live: live}
	buf, most := nldump.Buffer(), statesAll
	r.want = everyState()
	r.pace.ask = func() (err error) {
		err = r.dump(buf, most)
		if most = statesCap; live != nil && (r.dumped[established] >= statesCap || !r.whole) {
			r.want &^= 1 << established
		}
		return err
	}
	if live != nil { // what has moved so far is in the dump
		if err := live.Read(&r.moved); err != nil {
			return nil, err
		}
	}
	err := r.open()
	r.counts = r.dumped
	return r, err
}

func (r *stateReader) Read(now time.Time, out []float64) error {
	if r.live != nil {
		if err := r.live.Read(&r.moved); err != nil {
			return err
		}
		for state := range r.counts {
			gain := r.moved.Gain(state)
			r.counts[state] = max(0, r.counts[state]+gain)
			r.gained[state] += gain
		}
	}
	fresh, err := r.run(now)
	if fresh && (r.whole || r.live == nil) {
		// What moved while the dump went on is taken twice or once; the next one sets that right.
		for state := range r.counts {
			if r.want&(1<<state) != 0 {
				r.counts[state] = max(0, r.dumped[state]+r.gained[state])
			}
		}
	}
	if r.began.Equal(now) {
		clear(r.gained[:])
	}
	if err != nil && r.live == nil {
		return err
	}
	for i, state := range states {
		out[i] = float64(r.counts[state.number])
	}
	if r.live != nil {
		out[len(states)] = max(0, r.growth(now))
	}
	return err
}

// everyState is a query's states.
func everyState() (want uint32) {
	for _, state := range states {
		want |= 1 << state.number
	}
	return want
}

// dump counts the sockets as they are, up to a number of them.
func (r *stateReader) dump(buf []byte, most int) error {
	clear(r.dumped[:])
	n := 0
	err := sockdiag.Dump(sockdiag.Query{States: r.want, Buffer: buf}, func(s *sockdiag.Socket) bool {
		if int(s.State) < len(r.dumped) {
			r.dumped[s.State]++
		}
		n++
		return n < most
	})
	r.whole = n < most
	return err
}

func (r *stateReader) Close() error {
	r.close()
	return nil
}
