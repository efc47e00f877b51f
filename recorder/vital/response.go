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
		{"serve.dismissed", "1/s", "requests whose connections this host's programs ended by a FIN with nothing said"},
		{"serve.dismissed.ratio", "ratio", "such requests, of these and of those that were answered"},
		{"upstream.dismissed", "1/s", "requests of this host whose connections the other side ended so"},
		{"upstream.dismissed.ratio", "ratio", "such requests, of these and of those that were answered"},
	},
	Variants: []Variant{probeVariant("response", readResponses)},
}

func readResponses(env Env) probed {
	var now probe.Responses
	var serve, upstream, connect ring.Second[probe.Histogram]
	var turned ring.Second[[2]uint64] // dismissed, by this host and by those it asks
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
		turned.Push([2]uint64{now.ServeDismissed, now.UpstreamDismissed})
		for i, answers := range [...]*ring.Second[probe.Histogram]{&serve, &upstream} {
			n := 0.0
			for tick := range turned.All() {
				n += float64(tick[i])
			}
			out[6+2*i], out[7+2*i] = n, ratio(n, n+float64(merged(answers).Count))
		}
		return nil
	}
}
