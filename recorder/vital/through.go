//go:build linux

package vital

import (
	"math"
	"time"

	"github.com/spikebox/spikebox/recorder/through"
)

// Through tells how connections fare that this host only forwards.
type Through interface {
	Through(now time.Time) through.Told
}

var throughMeter = &Meter{
	ID:  "through",
	Doc: "connections that this host only forwards, from the headers that are recorded of them; a host that forwards nothing looks at none",
	Vitals: []Vital{
		{"forward.retrans.ratio", "ratio", "bytes of TCP data to be forwarded that came in again, of all that came in, to services or from them, whichever is more; what only overtook is none (tcx programs)"},
		{"forward.lossy", "1", "forwarded connections of which data came in again within the last 2 s (tcx programs)"},
		{"forward.stalled", "1", "forwarded connections of which one side has sent again for 600 ms and more and heard nothing: " +
			"all of a service that is silent to everybody, else one for each client (tcx programs)"},
		{"forward.unanswered", "1", "forwarded flows of UDP that have waited for a second and longer than ever, for services that have answered within 15 min, and nobody since: " +
			"all of a service that three and more wait for, else one for each client (tcx programs)"},
	},
	Variants: []Variant{{Name: "ebpf", Open: openThrough}},
}

func openThrough(env Env) (Reader, error) {
	if env.Through == nil {
		return nil, errNotByTCX
	}
	var all, again [2]rate
	return probed(func(now time.Time, out []float64) error {
		told := env.Through.Through(now)
		var worst [2]float64
		for i, sent := range told.Sent {
			worst[i] = ratio(again[i].add(now, sent.Again), all[i].add(now, sent.Bytes))
		}
		out[0] = max(worst[0], worst[1])
		out[1] = float64(told.Lossy)
		if told.Whole {
			out[2], out[3] = float64(told.Stalled), float64(told.Unanswered)
		} else {
			out[2], out[3] = math.NaN(), math.NaN()
		}
		return nil
	}), nil
}
