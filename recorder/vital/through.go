//go:build linux

package vital

import (
	"math"
	"time"

	"github.com/spikebox/spikebox/recorder/through"
)

// Through tells how connections fare that this host only forwards, and its own services of UDP where it is to look.
type Through interface {
	Through(now time.Time, look bool) through.Told
}

var throughMeter = &Meter{
	ID: "through",
	Doc: "connections that this host only forwards, and its own services of UDP, from the headers that are recorded of them; " +
		"a host that forwards nothing looks at none while as many datagrams go as come",
	Vitals: []Vital{
		{"forward.retrans.ratio", "ratio", "bytes of TCP data to be forwarded that came in again, of all that came in, to services or from them, whichever is more; what only overtook is none (tcx programs)"},
		{"forward.lossy", "1", "forwarded connections of which data came in again within the last 2 s (tcx programs)"},
		{"forward.stalled", "1", "forwarded connections of which one side has sent again for 600 ms and more and heard nothing: " +
			"all of a service that is silent to everybody, else one for each client (tcx programs)"},
		{"forward.hung", "1", "forwarded connections whose question has waited for a second, and twice as long as any of late, for services that have sent data to nobody since; " +
			"of services where they are more than twice as many as were left so while it answered (tcx programs)"},
		{"forward.unanswered", "1", "forwarded flows of UDP that have waited for a second and longer than ever, for services that have answered within 15 min, and nobody since: " +
			"all of a service that three and more wait for, else one for each client (tcx programs)"},
		{"udp.unanswered", "1", "the same of this host's own services; looked at once fewer datagrams go than those that come would have had before (tcx programs)"},
	},
	Variants: []Variant{{Name: "ebpf", Open: openThrough}},
}

func openThrough(env Env) (Reader, error) {
	if env.Through == nil {
		return nil, errNotByTCX
	}
	r := &throughReader{through: env.Through, counters: env.shared(), names: [][]string{datagramsIn, datagramsOut}, sums: make([]uint64, 2)}
	return r, r.counters.open()
}

// throughReader looks at packets where something is forwarded or answers of UDP are missing.
type throughReader struct {
	through    Through
	counters   *counters
	names      [][]string
	sums       []uint64
	hush       hush
	all, again [2]rate
}

func (r *throughReader) Read(now time.Time, out []float64) error {
	if err := r.counters.read(now, r.names, r.sums); err != nil {
		return err
	}
	told := r.through.Through(now, r.hush.add(datagrams{now, r.sums[0], r.sums[1]}))
	var worst [2]float64
	for i, sent := range told.Sent {
		worst[i] = ratio(r.again[i].add(now, sent.Again), r.all[i].add(now, sent.Bytes))
	}
	out[0], out[1] = max(worst[0], worst[1]), float64(told.Lossy)
	for i, n := range []int{told.Stalled, told.Hung, told.Unanswered, told.Mute} {
		if out[2+i] = float64(n); !told.Whole {
			out[2+i] = math.NaN()
		}
	}
	return nil
}

func (r *throughReader) Close() error { return r.counters.close() }
