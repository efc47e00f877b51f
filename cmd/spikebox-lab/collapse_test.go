//go:build linux

package main

import (
	"encoding/json"
	"io"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/pprof/profile"

	"github.com/spikebox/spikebox/cmd/spikebox-lab/lab"
	"github.com/spikebox/spikebox/format"
)

// TestTheStoryOfOneLatencySpike is the story that the recorder exists for: with a large
// tcp_rmem the kernel collapses tens of thousands of segments in one softirq, with a
// small one it does so as often and for a fraction of the time. The bundle must show it
// without function probes: the long softirqs, the counters, and stacks inside tcp_collapse: of the
// first a few, by the timer's ticks, and many of those that follow.
func TestTheStoryOfOneLatencySpike(t *testing.T) {
	needRoot(t)
	if testing.Short() {
		t.Skip("it loads the machine for many seconds: not with -short")
	}
	large, small := collapse(t, "32MiB"), collapse(t, "4MiB")
	// Some 24 at 2 GHz: a faster processor spends less time there.
	if large.inCollapse < 4 {
		t.Errorf("32 MiB: %d stacks were sampled inside tcp_collapse, want at least 4 of some 24", large.inCollapse)
	}
	if len(large.long) == 0 || small.collapsed < large.collapsed/2 {
		t.Fatalf("long softirqs with 32 MiB: %v ms; segments collapsed: %d, and %d with 4 MiB, want about as many",
			large.long, large.collapsed, small.collapsed)
	}
	// The longest of the large ones is a collapse of 39,000 segments; of the small ones
	// the median is one of an eighth of that, whatever else kept a CPU meanwhile. Where
	// that is too short to be told of, it took less than the 2 ms that make one long.
	longest, usual := large.long[len(large.long)-1], 2.0
	if len(small.long) > 0 {
		usual = small.long[len(small.long)/2]
	}
	t.Logf("longest softirq with 32 MiB %.1f ms, usual long one with 4 MiB %.1f ms, %d stacks inside tcp_collapse",
		longest, usual, large.inCollapse)
	if longest < 3*usual {
		t.Errorf("the longest softirq took %.1f ms with 32 MiB, %.1f ms are usual with 4 MiB; want three times as long", longest, usual)
	}
	// The way of the story: two bundles beside each other name the setting, and what it cost.
	said, err := exec.Command(filepath.Join(bin, "spikebox"), "diff", large.path, small.path).Output()
	if err != nil || !strings.Contains(string(said), "net.ipv4.tcp_rmem") {
		t.Errorf("spikebox diff: %v, says\n%s", err, said)
	}
	t.Logf("spikebox diff of both:\n%s", said)
	if large.histogram < longest*1e6*0.99 {
		t.Errorf("softirq.jsonl knows of %.1f ms at most, events.jsonl of %.1f ms", large.histogram/1e6, longest)
	}
}

// story is what a bundle tells of the collapses.
type story struct {
	path       string    // of the bundle
	long       []float64 // softirqs of 2 ms and longer, ms, sorted
	histogram  float64   // longest NET_RX of softirq.jsonl, ns
	inCollapse int64     // stacks sampled inside tcp_collapse
	collapsed  int64     // segments, by the kernel's own count
}

func collapse(t *testing.T, rmem string) (s story) {
	t.Helper()
	dir := t.TempDir()
	cmd := exec.Command(filepath.Join(bin, "spikebox-lab"), "run", "tcp-collapse", "--rmem", rmem, "-o", dir)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("spikebox-lab run tcp-collapse --rmem %s: %v\n%s", rmem, err, out)
	}
	truth, err := lab.ReadTruth(filepath.Join(dir, "truth.json"))
	if err != nil {
		t.Fatal(err)
	}
	s.path = filepath.Join(dir, truth.Bundle)
	r, err := format.Open(s.path, format.Limits{})
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	eachLine(t, r, "events.jsonl", func(line []byte) {
		var e struct {
			Kind, Vector string
			Duration     float64 `json:"duration_ns"`
		}
		if err := json.Unmarshal(line, &e); err != nil {
			t.Fatal(err)
		}
		if e.Kind == "long-softirq" && e.Vector == "NET_RX" {
			s.long = append(s.long, e.Duration/1e6)
		}
	})
	slices.Sort(s.long)
	eachLine(t, r, "softirq.jsonl", func(line []byte) {
		var l struct {
			Name string
			Max  float64 `json:"max_ns"`
		}
		if err := json.Unmarshal(line, &l); err != nil {
			t.Fatal(err)
		}
		if l.Name == "NET_RX" {
			s.histogram = max(s.histogram, l.Max)
		}
	})
	s.collapsed = truth.Moved("edge-1", "TcpExt.TCPRcvCollapsed", "start", "end")
	s.inCollapse = samplesIn(t, r, "tcp_collapse")
	return s
}

func eachLine(t *testing.T, r *format.Reader, member string, f func([]byte)) {
	t.Helper()
	for line := range strings.Lines(string(content(t, r, member))) {
		f([]byte(line))
	}
}

func content(t *testing.T, r *format.Reader, member string) []byte {
	t.Helper()
	f, err := r.Open(member)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	text, err := io.ReadAll(f)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// samplesIn counts the sampled stacks with a function in them.
func samplesIn(t *testing.T, r *format.Reader, function string) (n int64) {
	t.Helper()
	p, err := profile.ParseData(content(t, r, "stacks.pb.gz"))
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range p.Sample {
		if slices.ContainsFunc(s.Location, func(l *profile.Location) bool {
			return slices.ContainsFunc(l.Line, func(line profile.Line) bool { return line.Function.Name == function })
		}) {
			n += s.Value[0]
		}
	}
	return n
}
