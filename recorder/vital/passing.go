//go:build linux

package vital

import (
	"errors"
	"time"
)

// Passing tells of handshakes that this host only forwards.
type Passing interface {
	Waiting() (int, error) // connections
	Refused() uint64       // connections, ever
}

var passingMeter = &Meter{
	ID:  "passing",
	Doc: "handshakes that pass through this host, as a router, a translator of addresses or a host of containers forwards them",
	Vitals: []Vital{
		{"forward.waiting", "1", "connections through this host whose SYN passed again, unanswered, within the last 5 s, to services that have answered within 15 min: " +
			"all of a service that answers nobody, else one for each client (tcx programs)"},
		{"forward.refused", "1/s", "connections through this host that a RST answered, to services that have answered before (tcx programs)"},
	},
	Variants: []Variant{{Name: "ebpf", Open: openPassing}},
}

// errNotByTCX is why what is forwarded is not measured.
var errNotByTCX = errors.New("what is forwarded is seen by programs on the interfaces (tcx), and packets are not recorded by them")

func openPassing(env Env) (Reader, error) {
	if env.Passing == nil {
		return nil, errNotByTCX
	}
	var refused rate
	return probed(func(now time.Time, out []float64) error {
		waiting, err := env.Passing.Waiting()
		out[0], out[1] = float64(waiting), refused.add(now, env.Passing.Refused())
		return err
	}), nil
}
