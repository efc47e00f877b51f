package check_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/spikebox/spikebox/analyzer"
	"github.com/spikebox/spikebox/analyzer/evidence"
	"github.com/spikebox/spikebox/analyzer/internal/captures"
)

// Captures of real incidents on Linux 6.18: what is found, on which schedule, and how many
// segments were sent again, as the kernel's counters and two other analyzers say.
func TestCaptures(t *testing.T) {
	for name, want := range map[string]struct {
		findings []string
		schedule string // of the first finding's first flow
		repeats  int    // of that flow
		again    uint64 // segments of all flows
	}{
		"syn-linear-default.pcap": {[]string{"warning syn-retransmit 10.92.0.2:80"}, "linear", 10, 10},
		"syn-linear-0.pcap":       {[]string{"warning syn-retransmit 10.92.0.2:80"}, "exponential-1s", 6, 6},
		"listen-overflow.pcap":    {[]string{"critical syn-retransmit 10.92.0.2:80"}, "linear", 10, 60},
		"synack-retrans.pcap": {[]string{
			"warning synack-retransmit 10.92.0.2:80",
			"warning syn-retransmit 10.92.0.2:80 < synack-retransmit",
		}, "exponential-1s", 6, 7},
		"final-ack-dropped.pcap": {[]string{"warning synack-retransmit 10.92.0.2:80"}, "exponential-1s", 5, 10},
		"syn-flood-cookies.pcap": {[]string{
			"warning syn-flood 10.92.0.2:80",
			"critical synack-retransmit 10.92.0.2:80 < syn-flood",
		}, "none", 0, 194},
	} {
		doc, err := analyzer.Run([]string{captures.Ours(t, "linux-6.18/"+name)[0]}, evidence.Options{})
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if diff := cmp.Diff(want.findings, lines(doc.Findings)); diff != "" {
			t.Errorf("%s: findings (-want +got):\n%s", name, diff)
			continue
		}
		f := doc.Findings[0].Flows[0]
		schedule, offsets := f.SYNSchedule, f.SYNOffsets
		if len(f.SYNACKOffsets) > 0 {
			schedule, offsets = f.SYNACKSchedule, f.SYNACKOffsets
		}
		if schedule != want.schedule || len(offsets) != want.repeats {
			t.Errorf("%s: schedule %s with %d repetitions, want %s with %d", name, schedule, len(offsets), want.schedule, want.repeats)
		}
		var again uint64
		for _, n := range doc.Totals.Retransmitted {
			again += n
		}
		if again != want.again {
			t.Errorf("%s: %d segments sent again, want %d", name, again, want.again)
		}
	}
}
