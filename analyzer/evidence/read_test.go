package evidence_test

import (
	"bytes"
	"errors"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/spikebox/spikebox/analyzer/cases"
	"github.com/spikebox/spikebox/analyzer/evidence"
	"github.com/spikebox/spikebox/analyzer/flow"
	"github.com/spikebox/spikebox/analyzer/handshake"
	"github.com/spikebox/spikebox/analyzer/internal/captures"
	"github.com/spikebox/spikebox/analyzer/packet"
)

// build makes the file of one case.
func build(t *testing.T, name string) string {
	t.Helper()
	all, err := cases.Load("../../testdata/cases")
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range all {
		if c.Name == name {
			path, err := c.Build(t.TempDir())
			if err != nil {
				t.Fatal(err)
			}
			return path
		}
	}
	t.Fatalf("no case %q", name)
	return ""
}

func TestReadBundle(t *testing.T) {
	var flows int
	var progress evidence.Progress
	e, err := evidence.Read([]string{build(t, "listen-overflow")}, evidence.Options{Flow: func(*flow.Flow) { flows++ }, Progress: &progress})
	if err != nil {
		t.Fatal(err)
	}
	if e.Manifest == nil || len(e.Damage) != 0 || len(e.Partial.List) != 0 {
		t.Fatalf("manifest %v, damage %v, partial %v", e.Manifest, e.Damage, e.Partial)
	}
	if len(e.Sockets) != 3 || len(e.Queues) != 5 || e.Settings["net/core/somaxconn"] != "4096" {
		t.Errorf("%d sockets, %d queues, settings %v", len(e.Sockets), len(e.Queues), e.Settings)
	}
	if flows != 11 || e.Packets.Totals.Flows != 11 || progress.Done.Load() == 0 || progress.Done.Load() != progress.Total.Load() {
		t.Errorf("%d flows, totals %+v, progress %d of %d", flows, e.Packets.Totals, progress.Done.Load(), progress.Total.Load())
	}
	start, end := e.Window()
	if start != cases.Start.UnixNano() || end-start != 10e9 {
		t.Errorf("window %d to %d", start, end)
	}
}

// Services and what is wrong with their handshakes, exactly counted.
func TestServices(t *testing.T) {
	type want struct {
		way                handshake.Way
		attempts, troubled uint64
		kind               handshake.Trouble
	}
	for name, w := range map[string]want{
		"listen-overflow":         {handshake.Inbound, 8, 6, handshake.SYNUnanswered},
		"listen-overflow-capture": {handshake.WayUnknown, 8, 6, handshake.SYNUnanswered},
		"ack-dropped-locally":     {handshake.Inbound, 5, 5, handshake.SYNACKAnswered},
		"synack-lost":             {handshake.Inbound, 5, 4, handshake.SYNACKLost},
		"silent-clients":          {handshake.Inbound, 30, 30, handshake.SYNACKSilent},
		"upstream-blackhole":      {handshake.Outbound, 4, 4, handshake.SYNUnanswered},
	} {
		e, err := evidence.Read([]string{build(t, name)}, evidence.Options{})
		if err != nil {
			t.Fatal(err)
		}
		found := false
		for _, s := range e.Packets.Services {
			r := s.Troubles[w.kind]
			if r.Flows == 0 {
				continue
			}
			found = true
			if s.Way != w.way || s.Attempts != w.attempts || r.Flows != w.troubled || len(r.Examples) != int(min(w.troubled, 16)) {
				t.Errorf("%s: %s %s: %d attempts, %d in trouble, %d examples; want %+v", name, s.Way, s.Server, s.Attempts, r.Flows, len(r.Examples), w)
			}
		}
		if !found {
			t.Errorf("%s: no service has trouble %d", name, w.kind)
		}
	}
}

func TestRoundTrips(t *testing.T) {
	e, err := evidence.Read([]string{build(t, "rtt-spike-one-peer")}, evidence.Options{})
	if err != nil {
		t.Fatal(err)
	}
	slow := netip.MustParseAddr("198.51.100.3")
	if len(e.Packets.RTT) != 5 {
		t.Errorf("%d peers, want the 5 clients without this host", len(e.Packets.RTT))
	}
	for _, p := range e.Packets.RTT {
		for i := range p.Bins {
			b := &p.Bins[i]
			second := b.Second - cases.Start.Unix()
			// A connection that begins at 8.6 s ends in the tenth second.
			if slowNow := p.Addr == slow && second >= 6 && second < 9; slowNow != (b.Mean() > 0.3) && second != 5 && second != 9 {
				t.Errorf("%s in second %d: mean %v s", p.Addr, second, b.Mean())
			}
		}
	}
}

// What is not whole is damage of a bundle, and damage of a capture; the rest is read.
func TestReadDamaged(t *testing.T) {
	path := build(t, "listen-overflow")
	whole, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	cut := filepath.Join(t.TempDir(), "cut.spike.tar.zst")
	if err := os.WriteFile(cut, whole[:len(whole)-1500], 0o600); err != nil {
		t.Fatal(err)
	}
	e, err := evidence.Read([]string{cut}, evidence.Options{})
	if err != nil {
		t.Fatal(err)
	}
	if len(e.Damage) == 0 || e.Columns.Get("syn_recv") == nil {
		t.Errorf("damage %v, vitals %v", e.Damage, e.Columns.Get("syn_recv"))
	}

	capture, err := os.ReadFile(build(t, "listen-overflow-capture"))
	if err != nil {
		t.Fatal(err)
	}
	e, err = evidence.Read([]string{"-"}, evidence.Options{Stdin: bytes.NewReader(capture[:len(capture)-150])})
	if err != nil {
		t.Fatal(err)
	}
	if len(e.Packets.Damage) != 1 || e.Packets.Totals.Packets == 0 || len(e.Damage) != 0 {
		t.Errorf("capture damage %v, %d packets, bundle damage %v", e.Packets.Damage, e.Packets.Totals.Packets, e.Damage)
	}
}

func TestReadErrors(t *testing.T) {
	bundle := build(t, "healthy")
	text := filepath.Join(t.TempDir(), "notes.txt")
	if err := os.WriteFile(text, []byte("nothing of the kind"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		paths []string
		is    error
		says  string
	}{
		{[]string{bundle, bundle}, evidence.ErrTwoBundles, "more than one bundle"},
		{[]string{text}, packet.ErrFormat, "notes.txt"},
		{[]string{filepath.Join(t.TempDir(), "none")}, os.ErrNotExist, "none"},
	} {
		_, err := evidence.Read(tt.paths, evidence.Options{})
		if !errors.Is(err, tt.is) || !strings.Contains(err.Error(), tt.says) {
			t.Errorf("%v: error %v, want %v that says %q", tt.paths, err, tt.is, tt.says)
		}
	}
}

// A bundle and a capture of another machine are read together: connections are told of as the bundle's host has
// them, and what the other saw is compared with that.
func TestReadTogether(t *testing.T) {
	e, err := evidence.Read([]string{build(t, "healthy"), captures.Ours(t, "two-places/plain/client.pcap.zst")[0]}, evidence.Options{})
	if err != nil {
		t.Fatal(err)
	}
	if e.Manifest == nil || e.Packets.Totals.Flows != 41 || len(e.Packets.Between.Clocks) != 2 {
		t.Errorf("manifest %v, %d flows, %d clocks, want 41 of the bundle, and 2", e.Manifest, e.Packets.Totals.Flows, len(e.Packets.Between.Clocks))
	}
}
