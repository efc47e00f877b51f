package check

import (
	"compress/gzip"
	"encoding/binary"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/spikebox/spikebox/analyzer/cases"
	"github.com/spikebox/spikebox/analyzer/evidence"
	"github.com/spikebox/spikebox/analyzer/internal/captures"
	"github.com/spikebox/spikebox/analyzer/timeline"
)

// bare reads lines of a case's packets as a bare capture: the directions that it bears, as those of tcpdump -i any do, are of
// nobody's host.
func bare(t *testing.T, name string, keep func(at float64, line string) bool) *Case {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("../../testdata/cases", name, "packets.txt"))
	if err != nil {
		t.Fatal(err)
	}
	var kept []string
	for _, line := range strings.Split(string(text), "\n") {
		first, _, _ := strings.Cut(line, " ")
		if at, err := strconv.ParseFloat(first, 64); err != nil || keep(at, line) {
			kept = append(kept, line)
		}
	}
	capture, err := cases.Pcapng(strings.Join(kept, "\n"), cases.Start)
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "packets.pcapng")
	if err := os.WriteFile(path, capture, 0o600); err != nil {
		t.Fatal(err)
	}
	e, err := evidence.Read([]string{path}, evidence.Options{})
	if err != nil {
		t.Fatal(err)
	}
	return NewCase(e, timeline.Build(&e.Columns))
}

// lossOf gives the loss of the only finding of a check, as a ratio of the segments; 0 without one.
func lossOf(t *testing.T, c *Case, k *Check) float64 {
	t.Helper()
	findings := k.ask(c).Findings
	if len(findings) == 0 {
		return 0
	}
	if len(findings) > 1 {
		t.Errorf("%s: %d findings", k.ID, len(findings))
	}
	return findings[0].lost
}

// A line that loses two in a hundred loses two in a hundred, whether or not the capture says which way packets went, as tcpdump -i any
// does; and a capture without loss has none.
func TestLossOfCaptures(t *testing.T) {
	all := func(float64, string) bool { return true }
	if got := lossOf(t, bare(t, "loss-all-the-time", all), &lossRatio); got < 0.01 || got > 0.04 {
		t.Errorf("%.1f %% lost, want 2 %%", 100*got)
	}
	if got := lossOf(t, bare(t, "film-paused", all), &lossRatio); got != 0 {
		t.Errorf("%.1f %% lost, where nothing is", 100*got)
	}
}

// Of pcap's file, and of each packet.
const pcapHeader, pcapRecord = 24, 16

// lossyFile gives the 12,746 packets of a lossy download as a pcap file, little-endian.
func lossyFile(t *testing.T) []byte {
	t.Helper()
	file, err := os.Open(captures.Ours(t, "linux-6.18/lossy-http-server.pcap.gz")[0])
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	unpacked, err := gzip.NewReader(file)
	if err != nil {
		t.Fatal(err)
	}
	all, err := io.ReadAll(unpacked)
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// each calls back with the offset of each packet of a pcap file until it says no, and gives the offset of the first that it is not
// called with again.
func each(file []byte, packet func(at int) bool) (end int) {
	for end = pcapHeader; end < len(file) && packet(end); {
		end += pcapRecord + int(binary.LittleEndian.Uint32(file[end+8:]))
	}
	return end
}

// secondOf gives the seconds of a packet's time.
func secondOf(file []byte, at int) uint32 { return binary.LittleEndian.Uint32(file[at:]) }

// caseOf reads a pcap file.
func caseOf(t *testing.T, file []byte) *Case {
	t.Helper()
	path := filepath.Join(t.TempDir(), "packets.pcap")
	if err := os.WriteFile(path, file, 0o600); err != nil {
		t.Fatal(err)
	}
	e, err := evidence.Read([]string{path}, evidence.Options{})
	if err != nil {
		t.Fatal(err)
	}
	return NewCase(e, timeline.Build(&e.Columns))
}

// A capture that is too short for a burst to be told from what goes on still says what was lost in it.
func TestLossOfOneSecond(t *testing.T) {
	file := lossyFile(t)
	end := each(file, func(at int) bool { return secondOf(file, at) == secondOf(file, pcapHeader) })
	c := caseOf(t, file[:end])
	if got := lossOf(t, c, &lossRatio); got < 0.01 || got > 0.05 {
		t.Errorf("%.1f %% of the segments of %d packets were lost, want 3 %%", 100*got, c.Evidence.Packets.Totals.Packets)
	}
}

// A clock that was set in the middle of a capture is told of where it was set back, and measures no round trip of an hour where it was
// set forward; one that runs says nothing.
func TestClockOfCaptures(t *testing.T) {
	const hour = 3600
	for name, tt := range map[string]struct {
		step int
		want string
	}{
		"runs": {0, ""}, "back": {-hour, "times go back by 1h0m0s at frame 6374"}, "forward": {hour, ""},
	} {
		file, n := lossyFile(t), 0
		each(file, func(at int) bool {
			if n++; n >= 6374 {
				binary.LittleEndian.PutUint32(file[at:], uint32(int(secondOf(file, at))+tt.step))
			}
			return true
		})
		c := caseOf(t, file)
		said := ""
		for _, f := range clockSuspect.ask(c).Findings {
			said += f.Summary
		}
		if tt.want == "" && said != "" || !strings.Contains(said, tt.want) {
			t.Errorf("%s: %q, want %q", name, said, tt.want)
		}
		if found := rttSpike.ask(c).Findings; len(found) > 0 {
			t.Errorf("%s: %s", name, found[0].Headline)
		}
	}
}
