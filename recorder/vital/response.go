//go:build linux

package vital

import (
	"time"

	"github.com/spikebox/spikebox/recorder/probe"
	"github.com/spikebox/spikebox/recorder/ring"
)

var responseMeter = &Meter{
	ID:  "response",
	Doc: "what users of this namespace's applications wait for, over the last second of ticks",
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
	var ticks ring.Second[probe.Responses]
	return func(_ time.Time, out []float64) error {
		if err := env.Probes.Response.Read(ticks.Push(probe.Responses{})); err != nil {
			return err
		}
		var sum probe.Responses
		for r := range ticks.All() {
			sum.Serve.Merge(&r.Serve)
			sum.Upstream.Merge(&r.Upstream)
			sum.Connect.Merge(&r.Connect)
		}
		for i, h := range [...]*probe.Histogram{&sum.Serve, &sum.Upstream, &sum.Connect} {
			if h.Count > 0 {
				out[2*i], out[2*i+1] = h.Quantile(0.99).Seconds(), h.Max.Seconds()
			}
		}
		return nil
	}
}
