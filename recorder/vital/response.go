//go:build linux

package vital

import (
	"time"

	"github.com/spikebox/spikebox/recorder/probe"
	"github.com/spikebox/spikebox/recorder/ring"
)

var responseMeter = &Meter{
	ID:  "response",
	Doc: "what users of this namespace's applications wait for, by what was acknowledged or came within the last second of ticks",
	Vitals: []Vital{
		{"serve.p99", "s", "99th percentile of the times from a request's first data to the answer's first byte"},
		{"serve.max", "s", "longest of them"},
		{"upstream.p99", "s", "99th percentile of the times from this host's request to the first data that comes back"},
		{"upstream.max", "s", "longest of them"},
		{"connect.p99", "s", "99th percentile of the times that this host's own connects took"},
		{"connect.max", "s", "longest of them"},
	},
	Variants: []Variant{probeVariant("response", readResponses)},
}

func readResponses(env Env) probed {
	var now probe.Responses
	var serve, upstream, connect ring.Second[probe.Histogram]
	return func(_ time.Time, out []float64) error {
		if err := env.Probes.Response.Read(&now); err != nil {
			return err
		}
		*serve.Push(probe.Histogram{}), *upstream.Push(probe.Histogram{}), *connect.Push(probe.Histogram{}) = now.Serve, now.Upstream, now.Connect
		for i, ticks := range [...]*ring.Second[probe.Histogram]{&serve, &upstream, &connect} {
			if sum := merged(ticks); sum.Count > 0 {
				out[2*i], out[2*i+1] = sum.Quantile(0.99).Seconds(), sum.Max.Seconds()
			}
		}
		return nil
	}
}
