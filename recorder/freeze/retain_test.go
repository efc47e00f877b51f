//go:build linux

package freeze

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/spikebox/spikebox/format"
)

// made are bundles in words of letters: the kind, "." for one that was cut short, "!" for
// one that is spared; each has 100 bytes, and is an hour younger than the one before it.
func made(words string) (all []stored) {
	for i, word := range strings.Fields(words) {
		all = append(all, stored{
			path: fmt.Sprint(i), size: 100, room: 100, at: time.Unix(int64(i)*3600, 0), kind: word[:1],
			truncated: strings.Contains(word, "."), spared: strings.Contains(word, "!"),
		})
	}
	return all
}

// What goes, by the index in which the bundles are listed. The last one is the new one.
func TestSurplus(t *testing.T) {
	for _, c := range []struct {
		name    string
		bundles string
		r       Retention
		free    int64 // of 1000 bytes
		gone    string
	}{
		{"no bound", "a a a a!", Retention{}, 0, ""},
		{"as many as are kept", "a a a a!", Retention{Keep: 4}, 1000, ""},
		{"one too many: the oldest", "a a a a!", Retention{Keep: 3}, 1000, "0"},
		{"one is kept: the new one", "a a a a!", Retention{Keep: 1}, 1000, "0 1 2"},
		{"bytes are kept to", "a a a a!", Retention{Bytes: 400}, 1000, ""},
		{"a byte too many", "a a a a!", Retention{Bytes: 399}, 1000, "0"},
		{"bytes for two", "a a a a!", Retention{Bytes: 250}, 1000, "0 1"},
		{"free as it should be", "a a a a!", Retention{MinFree: 0.25}, 250, ""},
		{"a byte too few free", "a a a a!", Retention{MinFree: 0.25}, 249, "0"},
		{"two make it free", "a a a a!", Retention{MinFree: 0.25}, 100, "0 1"},
		{"all are not enough, so none goes", "a a a a!", Retention{MinFree: 0.5}, 100, ""},
		{"only what the count asks for, where the disk is full of others", "a a a a!", Retention{Keep: 3, MinFree: 0.9}, 100, "0"},
		{"the strictest bound counts", "a a a a!", Retention{Keep: 3, Bytes: 399, MinFree: 0.4}, 100, "0 1 2"},
		{"a spared one stays, and counts", "a! a a a!", Retention{Keep: 3}, 1000, "1"},
		{"spared ones alone are too many", "a! a a! a!", Retention{Keep: 1}, 1000, "1"},
		{"spared ones fill the disk", "a! a! a! a!", Retention{MinFree: 0.9}, 100, ""},
		{"the most frequent kind pays, though another is older", "r r n n n n!", Retention{Keep: 4}, 1000, "2 3"},
		{"equal kinds pay by age", "a b a b!", Retention{Keep: 3}, 1000, "0"},
		{"the last of a kind stays", "r n n n!", Retention{Keep: 1}, 1000, "1 2"},
		{"the only bundle before one of another kind stays", "r n!", Retention{Keep: 1}, 1000, ""},
		{"the last of a kind goes for bytes, the oldest first", "r n m n!", Retention{Bytes: 200}, 1000, "1 0"},
		{"but not while others can", "r n n n!", Retention{Bytes: 200}, 1000, "1 2"},
		{"and not for the count, nor for what stays free", "r m n!", Retention{Keep: 1, MinFree: 0.9}, 100, ""},
		{"what was cut short goes first among equals", "a a a. a!", Retention{Keep: 3}, 1000, "2"},
		{"but not before a more frequent kind", "b b. a a a a!", Retention{Keep: 5}, 1000, "2"},
		{"what was cut short stays as the last of its kind", "b. a a a!", Retention{Keep: 3}, 1000, "1"},
		{"a clock that was set back: what is new is new", "a a a a!", Retention{Keep: 3}, 1000, "0"},
	} {
		var gone []string
		for _, b := range c.r.surplus(made(c.bundles), space{size: 1000, free: c.free}) {
			gone = append(gone, b.path)
		}
		if got := strings.Join(gone, " "); got != c.gone {
			t.Errorf("%s: of %q %q goes, want %q", c.name, c.bundles, got, c.gone)
		}
	}
}

// What a new bundle may take before anything goes.
func TestRoom(t *testing.T) {
	for _, c := range []struct {
		name       string
		bundles    string
		kind       string
		r          Retention
		free       int64 // of 100,000 bytes
		soft, most int64
	}{
		{"no bound", "a a", "a", Retention{}, 5000, 5000, unbounded},
		{"nothing goes below what stays free", "", "a", Retention{MinFree: 0.1}, 15_000, 5000, unbounded},
		{"what can go afterwards counts", "a a a", "a", Retention{MinFree: 0.1}, 10_000, 300, unbounded},
		{"the last of a kind cannot go", "a a a", "b", Retention{MinFree: 0.1}, 10_000, 200, unbounded},
		{"a hundredth of what others have left", "", "a", Retention{MinFree: 0.5}, 20_000, 200, unbounded},
		{"not more than there is", "a a a", "a", Retention{MinFree: 0.0001}, 100, 100, unbounded},
		{"bytes less what stays", "a a! a", "a", Retention{Bytes: 1000}, 5000, 5000, 900},
		{"a quarter of bytes is for the new one, whatever is the last of its kind", "a b c d", "e", Retention{Bytes: 400}, 5000, 5000, 100},
		{"no more than a quarter", "a b c", "e", Retention{Bytes: 320}, 5000, 5000, 80},
		{"which costs only what it takes", "a b c", "e", Retention{Bytes: 900}, 5000, 5000, 600},
		{"of what is spared nothing", "a! b! c", "e", Retention{Bytes: 240}, 5000, 5000, 40},
		{"what stays is more than bytes", "a! a!", "a", Retention{Bytes: 150}, 5000, 5000, -50},
	} {
		soft, most := c.r.room(made(c.bundles), c.kind, space{size: 100_000, free: c.free})
		if soft != c.soft || most != c.most {
			t.Errorf("%s: may take %d, at most %d; want %d and %d", c.name, soft, most, c.soft, c.most)
		}
	}
}

// Only bundles that a recorder of this host has named are its own.
func TestList(t *testing.T) {
	dir := t.TempDir()
	ours := map[string]stored{
		"web-20260102T030405Z-rtt.p99.spike.tar.zst":               {kind: "rtt.p99"},
		"web-20260102T030405Z-rtt.p99~2.spike.tar.zst":             {kind: "rtt.p99"},
		"web-20260102T030405Z-signal.truncated.spike.tar.zst":      {kind: "signal", truncated: true},
		"web-20260102T030405Z-signal~3.truncated.spike.tar.zst":    {kind: "signal", truncated: true},
		"web-20260102T030405Z-marked.spike.tar.zst":                {kind: "marked", spared: true},
		"web-20260102T030405Z-pinned.spike.tar.zst":                {kind: "pinned", spared: true},
		"web-20260102T030405Z-web-20260102T030405Z-.spike.tar.zst": {kind: "web-20260102T030405Z-"},
	}
	others := []string{
		"web-1-20260102T030405Z-rtt.p99.spike.tar.zst", "db-20260102T030405Z-rtt.p99.spike.tar.zst", "web2-20260102T030405Z-signal.spike.tar.zst",
		".web-20260102T030405Z-rtt.p99.spike.tar.zst.partial", "web-20260102T030405Z-.spike.tar.zst", "web-20260102T030405Z.spike.tar.zst",
		"web-2026-rtt.p99.spike.tar.zst", "incident.spike.tar.zst", "web-20260102T030405Z-rtt.p99.tar", "web-.spike.tar.zst",
		"web-20260102T030405Z-marked.spike.tar.zst.keep",
	}
	for name := range ours {
		others = append(others, name)
	}
	for _, name := range others {
		must(t, os.WriteFile(filepath.Join(dir, name), make([]byte, 10), 0o600))
	}
	must(t, os.Mkdir(filepath.Join(dir, "web-20260102T030405Z-folder.spike.tar.zst"), 0o700))
	must(t, os.Symlink("/etc/passwd", filepath.Join(dir, "web-20260102T030405Z-link.spike.tar.zst")))
	must(t, os.Link(filepath.Join(dir, "web-20260102T030405Z-pinned.spike.tar.zst"), filepath.Join(dir, "postmortem")))
	got, err := list(dir, "web")
	must(t, err)
	if len(got) != len(ours) {
		t.Errorf("%d bundles are this host's, want %d: %+v", len(got), len(ours), got)
	}
	for _, b := range got {
		want, ok := ours[filepath.Base(b.path)]
		if !ok || b.kind != want.kind || b.truncated != want.truncated || b.spared != want.spared || b.size != 10 || b.room < 10 ||
			b.at.Format(time.RFC3339) != "2026-01-02T03:04:05Z" {
			t.Errorf("%+v, want %+v", b, want)
		}
	}
	// What is left, so that somebody may be told whose bound it is not: the seven that are whole bundles by their ending.
	if h, err := strangers(dir, "web"); err != nil || h != (Kept{8, 80}) {
		t.Errorf("of others %+v, %v", h, err)
	}
	// The name that a bundle gets is one that is recognised.
	name := name("web/1", format.Trigger{Kind: "kmsg", Time: time.Unix(0, 0)})
	if b, ok := parseName(name+format.Ext, "web/1"); !ok || b.kind != "kmsg" {
		t.Errorf("%s is not recognised: %+v", name, b)
	}
}
