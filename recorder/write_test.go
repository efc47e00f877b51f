//go:build linux

package recorder_test

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/spikebox/spikebox/format"
	"github.com/spikebox/spikebox/recorder/control"
	"github.com/spikebox/spikebox/recorder/internal/testns"
)

// The folder for bundles cannot be made, then can: the recorder says what is wrong, loses
// that bundle only, and stays armed; told to stop later, it has not failed.
func TestFolderThatTakesNothing(t *testing.T) {
	t.Parallel()
	ns := testns.New(t)
	blocked := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(blocked, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	d := start(t, ns, "", "--dir", filepath.Join(blocked, "bundles"))
	d.says("ERROR make folder for bundles", 1)
	d.says("armed on", 1)
	d.signal(unix.SIGUSR1)
	d.says("ERROR bundle lost", 1)
	if err := os.Remove(blocked); err != nil {
		t.Fatal(err)
	}
	d.signal(unix.SIGUSR1)
	d.says("bundle written", 1)

	lost := start(t, ns, "", "--dir", "/proc/self/bundles")
	lost.says("armed on", 1)
	lost.signal(unix.SIGUSR1)
	lost.says("ERROR bundle lost", 1)
	lost.signal(unix.SIGTERM)
	if code := lost.exits(); code != 0 {
		t.Errorf("exit code %d for a bundle that was lost before it was told to stop", code)
	}
	// One that is lost while it stops is a failure of the stopping.
	failing := start(t, ns, "", "--dir", "/proc/self/bundles", "--after", "5m")
	failing.says("armed on", 1)
	failing.signal(unix.SIGUSR1)
	failing.says("triggered", 1)
	failing.signal(unix.SIGTERM)
	if code := failing.exits(); code != 1 {
		t.Errorf("exit code %d, and the last bundle was lost", code)
	}
}

// A disk that has no room for a bundle gets a smaller one, a disk that has none at all has
// it written to the other folder; with room again the next one is whole.
func TestFullDisk(t *testing.T) {
	t.Parallel()
	full, other := t.TempDir(), filepath.Join(t.TempDir(), "other")
	socket := filepath.Join(t.TempDir(), "control.sock")
	d := start(t, testns.New(t), `mount -t tmpfs -o size=10m none `+full+` && exec "$@"`, "--dir", full, "--fallback-dir", other, "--control", socket)
	d.says("armed on", 1)
	inside := fmt.Sprintf("/proc/%d/root%s", d.cmd.Process.Pid, full)
	d.dir = inside
	d.signal(unix.SIGUSR1)
	d.says("bundle written", 1)
	first, err := filepath.Glob(filepath.Join(inside, "*"+format.Ext))
	if err != nil || len(first) != 1 {
		t.Fatalf("%q, %v", first, err)
	}
	info, err := os.Stat(first[0])
	if err != nil || os.Remove(first[0]) != nil {
		t.Fatal(err)
	}
	testMount(t, d, fmt.Sprintf("remount,size=%dk", info.Size()*2/3/1024), full)
	d.signal(unix.SIGUSR1)
	d.says("bundle written", 2)
	d.says("that bundle has", 1)
	if b := d.bundle(); len(b.Manifest.Warnings) != 1 || source(t, b, "packets").State != format.Failed {
		t.Errorf("warnings %q, packets %v", b.Manifest.Warnings, source(t, b, "packets"))
	}
	stuff(t, inside)
	d.signal(unix.SIGUSR1)
	d.says("bundle written: "+other, 1)
	d.says("no space left on device", 1)
	d.bundle() // the old one has not gone for it
	client := control.Client{Socket: socket}
	d.wait("tells where the bundle is", func() bool {
		s, _, err := client.Status(t.Context())
		return err == nil && s.Fallback && filepath.Dir(s.LastBundle) == other && s.Bundles == 3 && s.Lost == 0
	})
	if err := os.Remove(filepath.Join(inside, ".stuff")); err != nil {
		t.Fatal(err)
	}
	testMount(t, d, "remount,size=10m", full)
	d.signal(unix.SIGUSR1)
	d.says("bundle written: "+full, 3)
	if all := d.bundles(); len(all) != 2 || len(all[1].Manifest.Warnings) > 0 {
		t.Errorf("%d bundles, want a smaller one and a whole one", len(all))
	}
}

// A folder that takes nothing is told of at arming, and not first in the night in which a bundle is lost.
func TestFolderThatTakesNoFile(t *testing.T) {
	t.Parallel()
	for options, want := range map[string]string{
		"ro":          "read-only file system",
		"nr_inodes=1": "no space left on device: its file system has no inode left (df -i)",
	} {
		dir := t.TempDir()
		d := start(t, testns.New(t), `mount -t tmpfs -o `+options+` none `+dir+` && exec "$@"`, "--dir", dir)
		d.says(want+"; armed all the same", 1)
		d.says("armed on", 1)
	}
}

// stuff fills a file system to its last byte, as another program would.
func stuff(t *testing.T, dir string) {
	t.Helper()
	f, err := os.Create(filepath.Join(dir, ".stuff"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for err == nil {
		_, err = f.Write(make([]byte, 4096))
	}
	if !errors.Is(err, unix.ENOSPC) {
		t.Fatal(err)
	}
}

// testMount changes a mount inside the daemon's mount namespace.
func testMount(t *testing.T, d *daemon, options, path string) {
	t.Helper()
	cmd := exec.Command("nsenter", "-t", fmt.Sprint(d.cmd.Process.Pid), "-m", "mount", "-o", options, path)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("remount: %v: %s", err, out)
	}
}

// SIGTERM or SIGINT between a trigger and the end of its window: the bundle is cut at once, whole.
func TestStoppedInTheWindow(t *testing.T) {
	t.Parallel()
	for _, sig := range []unix.Signal{unix.SIGTERM, unix.SIGINT} {
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
	t.Parallel()
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
