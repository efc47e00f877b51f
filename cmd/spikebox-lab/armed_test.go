//go:build linux

package main

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/spikebox/spikebox/cmd/spikebox-lab/lab"
	"github.com/spikebox/spikebox/format"
)

// learned writes what a recorder on edge-1 would know of repetitions after 200 s without any.
func learned(t *testing.T, path string) {
	t.Helper()
	now, known := time.Now(), []format.Baseline{}
	for _, name := range []string{"syn.retrans", "rto"} {
		known = append(known, format.Baseline{Version: 1, Vital: name, Unit: "1/s", Time: now,
			Bins: []format.BaselineBin{{Most: 0, Seconds: 200}}})
	}
	text, err := json.Marshal(map[string]any{"version": 1, "host": "edge-1", "written": now, "triggers": map[string]any{}, "baselines": known})
	if err == nil {
		err = os.WriteFile(path, text, 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// A recorder with no trigger but its own fires when clients are hurt, the score says so, and
// a replay of its bundle fires at the same tick: whether the host asks itself, or only forwards.
func TestArmed(t *testing.T) {
	needRoot(t)
	for _, name := range []string{"upstream-blackhole", "forwarded-blackhole", "container-upstream-dead"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			armed(t, name)
		})
	}
}

func armed(t *testing.T, name string) {
	dir := t.TempDir()
	learned(t, filepath.Join(dir, "learned.json"))
	cmd := exec.Command(filepath.Join(bin, "spikebox-lab"), "score", "--armed", name, "--json", "-o", dir)
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("spikebox-lab score --armed: %v", err)
	}
	var scores struct{ Armed []lab.ArmedScore }
	if err := json.Unmarshal(out, &scores); err != nil {
		t.Fatal(err)
	}
	if s := scores.Armed; len(s) != 1 || s[0].Fired != 1 || s[0].Hurt != 1 || len(s[0].AfterHurt) != 1 {
		t.Fatalf("scores are %s, want one run that hurt and fired", out)
	}
	truth, err := lab.ReadTruth(filepath.Join(dir, name+"-1", "truth.json"))
	if err != nil {
		t.Fatal(err)
	}
	bundle := filepath.Join(dir, name+"-1", truth.Bundle)
	r, err := format.Open(bundle, format.Limits{})
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	at := r.Manifest.Trigger
	if at.Expr != truth.Firings[0].Trigger {
		t.Errorf("the bundle is of %q, and %q fired first", at.Expr, truth.Firings[0].Trigger)
	}
	out, err = exec.Command(filepath.Join(bin, "spikebox"), "replay", "--json", "--trigger", at.Expr, bundle).Output()
	if err != nil {
		t.Fatalf("spikebox replay: %v", err)
	}
	var run struct{ Firings []struct{ Time time.Time } }
	if err := json.Unmarshal(out, &run); err != nil {
		t.Fatal(err)
	}
	if !slices.ContainsFunc(run.Firings, func(f struct{ Time time.Time }) bool { return f.Time.Sub(at.Time).Abs() < 100*time.Millisecond }) {
		t.Errorf("%s fired at %v, replayed %s", at.Expr, at.Time, out)
	}
}
