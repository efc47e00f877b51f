//go:build linux

package recorder

import (
	"testing"

	"github.com/spikebox/spikebox/recorder/trigger"
	"github.com/spikebox/spikebox/recorder/vital"
)

// A proposed limit is one that package trigger reads, above all that was seen, and not
// so low that an idle host's first client fires it.
func TestCalibratedLimitsAreTriggers(t *testing.T) {
	for _, c := range []struct {
		vital  string
		values []float64
		want   string
	}{
		{"rtt.p99", []float64{0.0004, 0.0412, 0.001}, "rtt.p99 > 130ms"},
		{"rtt.p99", []float64{0.0001}, "rtt.p99 > 10ms"},
		{"rtt.p99", nil, ""},
		{"syn_recv", []float64{0, 101, 3}, "syn_recv > 310"},
		{"syn_recv", []float64{0}, "syn_recv > 50"},
		{"listen.overflows", []float64{0, 0}, "listen.overflows > 0"},
		{"softnet.squeezed", []float64{0, 0.7}, "softnet.squeezed > 3"},
		{"conntrack.fill", []float64{0.5, 0.6}, "conntrack.fill > 80%"},
		{"conntrack.fill", []float64{0.001}, "conntrack.fill > 25%"},
		{"retrans.ratio", []float64{0.001}, "retrans.ratio > 5%"},
		{"tcp.mem", []float64{1 << 20}, "tcp.mem > 64MiB"},
	} {
		unit, ok := vital.Units()[c.vital]
		if !ok {
			t.Fatalf("no vital %s", c.vital)
		}
		got := calibrate(vital.Vital{Name: c.vital, Unit: unit}, c.values)
		if got.Expr() != c.want {
			t.Errorf("%s at %v: %q, want %q", c.vital, c.values, got.Expr(), c.want)
		}
		if c.want == "" {
			continue
		}
		parsed, err := trigger.Parse(got.Expr(), vital.Units())
		if err != nil || parsed.Conditions[0].Limit < got.Max {
			t.Errorf("%q: %v, %+v below what was seen, %v", got.Expr(), err, parsed, got.Max)
		}
	}
}
