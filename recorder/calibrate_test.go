//go:build linux

package recorder

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/spikebox/spikebox/recorder/trigger"
	"github.com/spikebox/spikebox/recorder/vital"
)

// constant is so many ticks of one value.
func constant(v float64) []float64 { return slices.Repeat([]float64{v}, 2*enough) }

// What calibrate proposes is read by package trigger, lies above what 99 of 100 ticks had, at
// least where the default lies, and is never more than its vital can be.
func TestCalibration(t *testing.T) {
	c := &Calibration{Begin: time.Unix(0, 0), End: time.Unix(50, 0), Ticks: 2 * enough, Seen: map[string][]float64{
		"syn.retrans": constant(0), "syn_recv": constant(101), "serve.p99": constant(0.3), "listen.overflows": constant(0),
		"retrans.ratio": constant(0.4), "retrans": constant(50), "rto": append(constant(1), 500), // one tick of an outage
		"psi.memory": constant(0.3), "ports.fill": constant(0.97), "conntrack.fill": constant(0.2), "softirq.max": constant(0.004),
		"tcp.close_wait": constant(7.5), "no.route": {1, 2, 3},
	}, Columns: []vital.Column{
		{Vital: vital.Vital{Name: "cookies", Unit: "1/s"}, Reason: "no /proc"},
		{Vital: vital.Vital{Name: "conntrack.drops", Unit: "1/s"}, Reason: "nf_conntrack is not loaded", Late: true},
	}}
	for _, values := range c.Seen {
		slices.Sort(values)
	}
	var out strings.Builder
	if err := c.Print(&out); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		"# syn.retrans was 0 all the time; its limit is the least that is worth a bundle\ntrigger syn.retrans > 20\n",
		"# syn_recv: median 101, 99 % 101, largest 101\ntrigger syn_recv > 510 for 500ms\n",
		"trigger serve.p99 > 1.2s for 1.5s\n",
		"trigger listen.overflows > 0\n",
		"# retrans.ratio: median 40%, 99 % 40%, largest 40%\n# retrans.others had a value in 0 of 200 ticks, too few to tell\n# retrans.connections had a value in 0 of 200 ticks, too few to tell\ntrigger retrans.ratio > 70% for 1.5s and retrans.others > 2x for 1.5s and retrans.connections > 2x\n",
		"# rto: median 1, 99 % 1, largest 500\ntrigger rto > 30\n",
		"trigger psi.memory > 90% for 2s\n",
		"# not proposed, for ports.fill is hardly ever higher than it was:\n#trigger ports.fill > 90%\n",
		"trigger conntrack.fill > 95%\n",
		"trigger softirq.max > 100ms for 1.5s\n",
		"trigger tcp.close_wait > 100 for 10s\n",
		"# no.route had a value in 3 of 200 ticks, too few to tell\ntrigger no.route > 5x\n",
		"# cookies was not seen: no /proc\n# not proposed, for cookies cannot be measured here:\n#trigger cookies > 5x\n",
		"# conntrack.drops was not seen: nf_conntrack is not loaded\ntrigger conntrack.drops > 5x\n",
	} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("it does not have\n%s", want)
		}
	}
	for line := range strings.Lines(out.String()) {
		expr, ok := strings.CutPrefix(line, "trigger ")
		if !ok {
			continue
		}
		if _, err := trigger.Parse(expr, vital.Units()); err != nil {
			t.Error(err)
		}
	}
	if t.Failed() {
		t.Log(out.String())
	}
}
