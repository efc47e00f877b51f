//go:build linux

package recorder

import (
	"log/slog"
	"math"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/spikebox/spikebox/format"
	"github.com/spikebox/spikebox/recorder/internal/testns"
	"github.com/spikebox/spikebox/recorder/trigger"
	"github.com/spikebox/spikebox/recorder/vital"
)

var noon = time.Date(2026, 1, 2, 12, 0, 0, 0, time.UTC)

// opened opens a ledger and gives what it read and what it said.
func opened(t *testing.T, dir, host string, now time.Time) (l *ledger, spent map[string]trigger.Spent, said string) {
	t.Helper()
	var lines []string
	l, kept := openLedger(dir, host, now, testns.Log(func(line string) { lines = append(lines, line) }))
	return l, kept.Triggers, strings.Join(lines, "\n")
}

// What was spent is there again, however often it was put.
func TestLedgerSurvives(t *testing.T) {
	dir := t.TempDir()
	l, spent, said := opened(t, dir, "web/1", noon)
	if len(spent) > 0 || said != "" {
		t.Errorf("the first has %v, and says %q", spent, said)
	}
	want := map[string]trigger.Spent{}
	for i := range 50 {
		at := noon.Add(time.Duration(i) * time.Second)
		want = map[string]trigger.Spent{"syn_recv > 250": {Last: at, Bundles: []time.Time{noon.Add(-time.Hour), at}}}
		l.put(want, nil, at)
	}
	l.close()
	l, spent, said = opened(t, dir, "web/1", noon.Add(time.Hour))
	l.close()
	if !reflect.DeepEqual(spent, want) || said != "" {
		t.Errorf("%v, want %v; said %q", spent, want, said)
	}
	if entries, _ := os.ReadDir(dir); len(entries) != 1 {
		t.Errorf("left %v, want one file", entries)
	}
}

// Of a file that is not ours, or not whole, nothing is believed, in one line.
func TestLedgerDistrusts(t *testing.T) {
	const good = `{"version":1,"host":"web","written":"2026-01-02T12:00:00Z","triggers":{"a":{"last":"2026-01-02T11:00:00Z","bundles":["2026-01-02T11:00:00Z"]}}}`
	for _, c := range []struct{ name, text, says string }{
		{"good", good, ""},
		{"clock set back by seconds", strings.Replace(good, "12:00:00", "12:00:30", 1), ""},
		{"of another host", strings.Replace(good, "web", "db", 1), `it is of host "db"`},
		{"from the future", strings.Replace(good, "12:00:00", "13:00:00", 1), "it is from the future"},
		{"fired after it was written", strings.Replace(good, `last":"2026-01-02T11`, `last":"2026-01-02T23`, 1), "after the file was written"},
		{"in no order", strings.Replace(good, `["`, `["2026-01-02T11:30:00Z","`, 1), "in no order"},
		{"of another version", strings.Replace(good, ":1", ":2", 1), "it has version 2"},
		{"truncated", good[:len(good)/2], "unexpected end of JSON input"},
		{"empty", "", "unexpected end of JSON input"},
		{"garbage", "\x00\x01\x02", "invalid character"},
		{"endless", strings.Repeat(" ", ledgerMost+1), "unexpected end of JSON input"},
	} {
		dir := t.TempDir()
		path := filepath.Join(dir, ".spikeboxd-web.json")
		if err := os.WriteFile(path, []byte(c.text), 0o600); err != nil {
			t.Fatal(err)
		}
		l, spent, said := opened(t, dir, "web", noon)
		l.close()
		if (len(spent) == 1) != (c.says == "") || !strings.Contains(said, c.says) || strings.Count(said, "\n") > 0 || (said == "") != (c.says == "") {
			t.Errorf("%s: %v, said %q, want %q", c.name, spent, said, c.says)
		}
	}
	dir := t.TempDir()
	if err := os.Symlink("/etc/passwd", filepath.Join(dir, ".spikeboxd-web.json")); err != nil {
		t.Fatal(err)
	}
	l, spent, said := opened(t, dir, "web", noon)
	l.close()
	if len(spent) > 0 || !strings.Contains(said, "too many levels of symbolic links") {
		t.Errorf("a link: %v, %q", spent, said)
	}
}

// What is usual outlives the recorder with what was spent.
func TestLedgerKeepsBaselines(t *testing.T) {
	dir := t.TempDir()
	quiet := slog.New(slog.DiscardHandler)
	l, _ := openLedger(dir, "web", noon, quiet)
	want := []format.Baseline{{Version: 1, Vital: "rtt.p99", Unit: "s", Time: noon, Seen: 1200, Needs: 81, Usual: 0.05, Least: 0.04,
		Bins: []format.BaselineBin{{Most: 0.05, Seconds: 1200}}, Hours: []format.BaselineHour{{Hour: 3, Day: 2, Usual: 0.3}}}}
	l.put(nil, want, noon)
	l.close()
	l, kept := openLedger(dir, "web", noon.Add(time.Minute), quiet)
	l.close()
	if !reflect.DeepEqual(kept.Baselines, want) {
		t.Errorf("%+v, want %+v", kept.Baselines, want)
	}
}

// FuzzLedger reads files of another hand: what is believed of one can be reckoned with, and written again.
func FuzzLedger(f *testing.F) {
	f.Add([]byte(`{"version":1,"host":"web","written":"2026-01-02T12:00:00Z","triggers":{"syn_recv > 5x":{"last":"2026-01-02T11:00:00Z","bundles":["2026-01-02T11:00:00Z"]}},
"baselines":[{"version":1,"vital":"syn_recv","unit":"1","time":"2026-01-02T12:00:00Z","bins":[{"most":5,"seconds":300},{"most":1e308,"seconds":1}],"hours":[{"hour":3,"day":6,"usual":7}]}]}`))
	f.Add([]byte(`{"version":1,"host":"web"}`))
	f.Add([]byte(`[`))
	dir := f.TempDir()
	f.Fuzz(func(t *testing.T, text []byte) {
		l := &ledger{host: "web", path: filepath.Join(dir, "ledger.json")}
		if err := os.WriteFile(l.path, text, 0o600); err != nil {
			t.Fatal(err)
		}
		kept, err := l.read(noon)
		if err != nil {
			return
		}
		parsed, err := trigger.Parse("syn_recv > 5x", vital.Units())
		if err != nil {
			t.Fatal(err)
		}
		set := trigger.NewSet([]*trigger.Trigger{parsed}, trigger.Policy{}, kept.Triggers)
		set.HeldBack(noon)
		set.Recall(kept.Baselines, noon)
		for _, b := range set.Baselines(noon) {
			if !(b.Usual >= 0) || math.IsInf(b.Usual, 0) || !(b.Seen >= 0) || math.IsInf(b.Seen, 0) {
				t.Fatalf("baseline %+v", b)
			}
		}
		if err := replace(l.path, entry{ledgerVersion, l.host, noon, kept.Triggers, set.Baselines(noon)}); err != nil {
			t.Fatal(err)
		}
		if _, err := l.read(noon); err != nil {
			t.Fatalf("read what was written: %v", err)
		}
	})
}
