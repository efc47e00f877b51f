//go:build linux

package recorder_test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/spikebox/spikebox/format"
	"github.com/spikebox/spikebox/recorder/internal/testns"
)

// The folder for bundles cannot be made, then is full, then has room: each time the
// recorder says what is wrong, loses that bundle only, and stays armed.
func TestFolderThatTakesNothing(t *testing.T) {
	ns := testns.New(t)
	blocked := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(blocked, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	d := start(t, ns, "", "--dir", filepath.Join(blocked, "bundles"))
	d.says("error: make folder for bundles", 1)
	d.says("armed on", 1)
	d.signal(unix.SIGUSR1)
	d.says("error: bundle lost", 1)
	if err := os.Remove(blocked); err != nil {
		t.Fatal(err)
	}
	d.signal(unix.SIGUSR1)
	d.says("bundle written", 1)

	full := t.TempDir()
	f := start(t, ns, `mount -t tmpfs -o size=12k none `+full+` && exec "$@"`, "--dir", full)
	f.says("armed on", 1)
	inside := fmt.Sprintf("/proc/%d/root%s", f.cmd.Process.Pid, full)
	f.dir = inside
	f.signal(unix.SIGUSR1)
	f.says("error: bundle lost", 1)
	f.says("no space left on device", 1)
	if left, err := os.ReadDir(inside); err != nil || len(left) != 0 {
		t.Errorf("a full disk was left with %v (%v)", left, err)
	}
	testMount(t, f, "remount,size=10m", full)
	f.signal(unix.SIGUSR1)
	f.says("bundle written", 1)
	f.bundle()
}

// testMount changes a mount inside the daemon's mount namespace.
func testMount(t *testing.T, d *daemon, options, path string) {
	t.Helper()
	cmd := exec.Command("nsenter", "-t", fmt.Sprint(d.cmd.Process.Pid), "-m", "mount", "-o", options, path)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("remount: %v: %s", err, out)
	}
}

// SIGTERM between a trigger and the end of its window, or the hangup of the terminal it was
// started from: the bundle is cut at once, whole.
func TestStoppedInTheWindow(t *testing.T) {
	for _, sig := range []unix.Signal{unix.SIGTERM, unix.SIGHUP} {
		d := start(t, testns.New(t), "", "--after", "5m")
		d.says("armed on", 1)
		d.signal(unix.SIGUSR1)
		d.says("triggered", 1)
		d.signal(sig)
		d.says("told to stop by "+unix.SignalName(sig)+": cutting now", 1)
		if code := d.exits(); code != 0 {
			t.Errorf("%v: exit code %d", sig, code)
		}
		if got := len(d.bundles()); got != 1 {
			t.Errorf("%v: %d bundles, want 1", sig, got)
		}
	}
}

// Killed at any moment of the writing, it leaves nothing half under a final name, and
// the next one clears the rest away.
func TestKilledWhileWriting(t *testing.T) {
	ns := testns.New(t)
	dir := filepath.Join(t.TempDir(), "bundles")
	for i := range 6 {
		d := start(t, ns, "", "--dir", dir, "--after", "0s")
		d.dir = dir
		d.says("armed on", 1)
		d.signal(unix.SIGUSR1)
		d.says("rings cut", 1)
		time.Sleep(time.Duration(i) * 3 * time.Millisecond) // another moment each time
		d.signal(unix.SIGKILL)
		d.exits()
		d.bundles()
	}
	d := start(t, ns, "", "--dir", dir)
	d.says("armed on", 1)
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		if !strings.HasSuffix(e.Name(), format.Ext) || strings.HasPrefix(e.Name(), ".") {
			t.Errorf("%s was left", e.Name())
		}
	}
}
