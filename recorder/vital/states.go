//go:build linux

package vital

import (
	"time"

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
		{Name: "sock_diag", Lack: "counted once a second and up to 50,000 sockets", Open: openStateDump},
	},
}

func stateVitals() (all []Vital) {
	for _, s := range states {
		all = append(all, s.vital)
	}
	return all
}

const (
	// statesEvery is when the live counts are set right by a dump: FIN_WAIT2 sockets
	// that no process holds any more change state without a tracepoint, and a socket
	// that was missed must not stay for ever.
	statesEvery = 10 * time.Second
	// statesCap is how many sockets are dumped regularly: 50,000 take some 15 ms. A host
	// with more keeps its live counts, which began with a dump of all.
	statesCap = 50_000
	statesAll = 2_000_000
)

// stateReader counts by sock_diag now and then, and in between by the kernel's
// transitions where live is set.
type stateReader struct {
	live   *probe.States
	pace   pace
	counts [probe.TCPStates]int64
	moved  probe.Transitions
}

func openStates(env Env) (Reader, error) {
	if err := env.refusal("state"); err != nil {
		return nil, err
	}
	return newStates(env.Probes.States, statesEvery)
}

func openStateDump(Env) (Reader, error) { return newStates(nil, pollEvery) }

func newStates(live *probe.States, every time.Duration) (Reader, error) {
	r := &stateReader{live: live, pace: pace{every: every}}
	return r, r.dump(statesAll)
}

func (r *stateReader) Read(now time.Time, out []float64) error {
	if r.live != nil {
		if err := r.live.Read(&r.moved); err != nil {
			return err
		}
		for state := range r.counts {
			r.counts[state] = max(0, r.counts[state]+r.moved.Gain(state))
		}
	}
	if err := r.pace.run(now, func() error { return r.dump(statesCap) }); err != nil {
		return err
	}
	for i, state := range states {
		out[i] = float64(r.counts[state.number])
	}
	return nil
}

// dump counts the sockets as they are. Transitions that come while it runs are taken
// twice or not at all; the next dump sets that right.
func (r *stateReader) dump(most int) error {
	var counts [probe.TCPStates]int64
	n, want := 0, uint32(0)
	for _, state := range states {
		want |= 1 << state.number
	}
	err := dumpAll(want, func(s *sockdiag.Socket) bool {
		if int(s.State) < len(counts) {
			counts[s.State]++
		}
		n++
		return n < most
	})
	if err == nil && (n < most || r.live == nil) {
		r.counts = counts
	}
	return err
}

func (r *stateReader) Close() error { return nil }
