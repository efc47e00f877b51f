package main

import (
	"bufio"
	"context"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/spikebox/spikebox/cmd/internal/cli"
	"github.com/spikebox/spikebox/format"
)

// watching makes a watcher of a new folder that waits for nothing to settle.
func watching(t *testing.T) *watcher {
	t.Helper()
	self, err := exec.LookPath("spikebox")
	if err != nil {
		t.Fatal(err)
	}
	return &watcher{dir: t.TempDir(), json: true, known: map[string]*arrival{}, self: self, givenUp: time.Hour}
}

// rounds lets the watcher look, and gives what was told.
func rounds(t *testing.T, w *watcher, n int) (all []told) {
	t.Helper()
	old := os.Stdout
	defer func() { os.Stdout = old }()
	var err error
	if os.Stdout, err = os.Create(filepath.Join(t.TempDir(), "out")); err != nil {
		t.Fatal(err)
	}
	defer os.Stdout.Close()
	for range n {
		if _, err := w.round(context.Background()); err != nil {
			t.Fatal(err)
		}
	}
	text, err := os.ReadFile(os.Stdout.Name())
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(text)) {
		var one told
		if err := json.Unmarshal([]byte(line), &one); err != nil {
			t.Fatal(err)
		}
		all = append(all, one)
	}
	return all
}

func realBundle(t *testing.T) []byte {
	t.Helper()
	bundle, err := os.ReadFile("../../testdata/bundles/v1/healthy.spike.tar.zst")
	if err != nil {
		t.Fatal(err)
	}
	return bundle
}

func put(t *testing.T, path string, content []byte) {
	t.Helper()
	if err := os.WriteFile(path, content, 0o600); err != nil {
		t.Fatal(err)
	}
}

// A copy that goes on under the bundle's own name, as scp makes it, is told of when it is whole, and once.
func TestWatchPartialCopy(t *testing.T) {
	w := watching(t)
	bundle, path := realBundle(t), filepath.Join(w.dir, "x"+format.Ext)
	for _, part := range []int{0, 10, len(bundle) / 2, len(bundle) - 1} {
		put(t, path, bundle[:part])
		if all := rounds(t, w, 2); len(all) > 0 {
			t.Errorf("%d of %d bytes were told of: %+v", part, len(bundle), all)
		}
	}
	put(t, path, bundle)
	if all := rounds(t, w, 3); len(all) != 1 || all[0].Damaged || all[0].Error != "" || !strings.HasPrefix(all[0].Verdict, "None of") {
		t.Errorf("told %+v", all)
	}
	again := watching(t)
	again.dir = w.dir
	if all := rounds(t, again, 2); len(all) > 0 {
		t.Errorf("after a restart %+v", all)
	}
}

// What stays half is told of when nobody waits for it any more; where the rest comes late, again.
func TestWatchStaysHalf(t *testing.T) {
	w := watching(t)
	bundle, path := realBundle(t), filepath.Join(w.dir, "x"+format.Ext)
	put(t, path, bundle[:len(bundle)/2])
	rounds(t, w, 1)
	w.givenUp = 0
	if all := rounds(t, w, 2); len(all) != 1 || !all[0].Damaged && all[0].Error == "" {
		t.Errorf("told %+v", all)
	}
	put(t, path, bundle)
	if all := rounds(t, w, 2); len(all) != 1 || all[0].Damaged || all[0].Error != "" {
		t.Errorf("told %+v", all)
	}
}

// A file that changes is left alone; a folder that goes and comes again loses nothing and tells nothing twice.
func TestWatchFolderGoes(t *testing.T) {
	w := watching(t)
	w.settled = time.Hour
	put(t, filepath.Join(w.dir, "x"+format.Ext), realBundle(t))
	if all := rounds(t, w, 2); len(all) > 0 {
		t.Errorf("before it has settled: %+v", all)
	}
	w.settled = 0
	if all := rounds(t, w, 1); len(all) != 1 {
		t.Errorf("told %+v", all)
	}
	away := w.dir + ".away"
	for _, move := range [][2]string{{w.dir, away}, {away, w.dir}} {
		if err := os.Rename(move[0], move[1]); err != nil {
			t.Fatal(err)
		}
		if all := rounds(t, w, 2); len(all) > 0 {
			t.Errorf("told %+v", all)
		}
	}
}

// An analysis that is killed, or takes for ever, is a line like the others.
func TestWatchSurvivesItsAnalysis(t *testing.T) {
	for name, script := range map[string]string{
		"ended by a signal": "kill -9 $$",
		"it panics":         "echo 'panic: it panics' >&2; exit 2",
		"read findings":     "echo '{\"verdict\": 7'",
	} {
		w := watching(t)
		w.givenUp = 0
		w.self = filepath.Join(t.TempDir(), "worse")
		if err := os.WriteFile(w.self, []byte("#!/bin/sh\n"+script+"\n"), 0o700); err != nil {
			t.Fatal(err)
		}
		put(t, filepath.Join(w.dir, "x"+format.Ext), realBundle(t))
		all := rounds(t, w, 2)
		if len(all) != 1 || !strings.Contains(strings.Replace(all[0].Error, "signal: killed", "ended by a signal", 1), name) {
			t.Errorf("%s: told %+v", name, all)
		}
	}
}

// A program is run for each, and what a stranger wrote is in its environment in one line that shows itself.
func TestWatchRunsProgram(t *testing.T) {
	w := watching(t)
	w.givenUp = 0
	w.hook = filepath.Join(t.TempDir(), "hook")
	seen := w.hook + ".seen"
	// The tests' own variables begin likewise.
	t.Setenv("SPIKEBOX_CAPTURES", "")
	os.Unsetenv("SPIKEBOX_CAPTURES")
	if err := os.WriteFile(w.hook, []byte("#!/bin/sh\nenv | grep ^SPIKEBOX_ >"+seen+"\n"), 0o700); err != nil {
		t.Fatal(err)
	}
	put(t, filepath.Join(w.dir, "x"+format.Ext), poisoned(t, poisons["names"]))
	if all := rounds(t, w, 2); len(all) != 1 {
		t.Fatalf("told %+v", all)
	}
	env, err := os.ReadFile(seen)
	if err != nil || strings.Count(string(env), "\n") != 6 || shown(string(env), "\n") != "" || !strings.Contains(string(env), `\u202e`) {
		t.Errorf("the program saw %q, %v", env, err)
	}
}

// The program itself: a line for what arrives while it watches, as rsync brings it, and SIGTERM ends it well.
func TestWatchUntilTerminated(t *testing.T) {
	in := t.TempDir()
	cmd := exec.Command("spikebox", "watch", "--every", "100ms", in)
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer cmd.Process.Kill()
	hidden := filepath.Join(in, ".x"+format.Ext+".a8Kd2f")
	put(t, hidden, realBundle(t))
	if err := os.Rename(hidden, filepath.Join(in, "x"+format.Ext)); err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewScanner(stdout)
	if !lines.Scan() || !strings.Contains(lines.Text(), "x"+format.Ext+"  None of") {
		t.Fatalf("it printed %q", lines.Text())
	}
	if err := cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if lines.Scan() {
		t.Errorf("it printed %q", lines.Text())
	}
	if err := cmd.Wait(); err != nil {
		t.Errorf("%v, want exit code %d", err, cli.Done)
	}
	if _, err := os.Stat(filepath.Join(in, "x.report", markName)); err != nil {
		t.Errorf("what was told has no mark: %v", err)
	}
}
