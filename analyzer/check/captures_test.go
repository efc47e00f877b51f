package check_test

import (
	"encoding/binary"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/spikebox/spikebox/analyzer"
	"github.com/spikebox/spikebox/analyzer/evidence"
	"github.com/spikebox/spikebox/analyzer/internal/captures"
	"github.com/spikebox/spikebox/analyzer/internal/pkt"
	"github.com/spikebox/spikebox/analyzer/packet"
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

// A capture of all interfaces of a bridge (tcpdump -i any) holds each packet at the port where it came in, at the bridge and at the
// port where it leaves, microseconds apart: the incidents in it are the same.
func TestCapturesOfBridges(t *testing.T) {
	for _, name := range []string{"listen-overflow", "syn-flood-cookies", "synack-retrans", "final-ack-dropped", "zero-window-linux"} {
		path := captures.Ours(t, "linux-6.18/"+name+".pcap")[0]
		want, err := analyzer.Run([]string{path}, evidence.Options{})
		if err != nil {
			t.Fatal(err)
		}
		got, err := analyzer.Run([]string{thrice(t, path)}, evidence.Options{})
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(lines(want.Findings), lines(got.Findings)); diff != "" {
			t.Errorf("%s: findings (-once +thrice):\n%s", name, diff)
		}
		if got.Verdict != want.Verdict && len(want.Roots()) > 0 {
			t.Errorf("%s: thrice it is %q, once %q", name, got.Verdict, want.Verdict)
		}
	}
}

// thrice writes a capture with each packet three times, 4 µs apart, and gives the path.
func thrice(t *testing.T, path string) string {
	t.Helper()
	in, err := evidence.OpenRecords(path, evidence.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer in.Close()
	var all []pkt.Record
	var rec packet.Record
	for in.Next(&rec) == nil {
		for copies := range int64(3) {
			all = append(all, pkt.Record{Time: rec.Time + 4000*copies, Data: slices.Clone(rec.Data), Wire: int(rec.WireLen)})
		}
	}
	slices.SortStableFunc(all, func(a, b pkt.Record) int { return int(a.Time - b.Time) })
	bridge := filepath.Join(t.TempDir(), "any.pcap")
	if err := os.WriteFile(bridge, pkt.Pcap(binary.LittleEndian, true, 1, all...), 0o600); err != nil {
		t.Fatal(err)
	}
	return bridge
}
