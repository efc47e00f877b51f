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

// A capture that is too short for a burst to be told from what goes on still says what was lost in it: 332 segments within a second.
func TestLossOfOneSecond(t *testing.T) {
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
	const header, record = 24, 16 // of pcap's file, and of each packet
	seconds := func(at int) uint32 { return binary.LittleEndian.Uint32(all[at:]) }
	end := header
	for first := seconds(header); end < len(all) && seconds(end) == first; {
		end += record + int(binary.LittleEndian.Uint32(all[end+8:]))
	}
	path := filepath.Join(t.TempDir(), "second.pcap")
	if err := os.WriteFile(path, all[:end], 0o600); err != nil {
		t.Fatal(err)
	}
	e, err := evidence.Read([]string{path}, evidence.Options{})
	if err != nil {
		t.Fatal(err)
	}
	if got := lossOf(t, NewCase(e, timeline.Build(&e.Columns)), &lossRatio); got < 0.01 || got > 0.05 {
		t.Errorf("%.1f %% of the segments of %d packets were lost, want 3 %%", 100*got, e.Packets.Totals.Packets)
	}
}
