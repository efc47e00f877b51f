//go:build linux

package recorder_test

import (
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/spikebox/spikebox/format"
	"github.com/spikebox/spikebox/recorder/control"
	"github.com/spikebox/spikebox/recorder/internal/hang"
	"github.com/spikebox/spikebox/recorder/internal/testns"
)

// hangs is for how long things hang: SPIKEBOX_TEST_HANG=30s is for make test-hang.
func hangs() time.Duration {
	if long, err := time.ParseDuration(os.Getenv("SPIKEBOX_TEST_HANG")); err == nil {
		return long
	}
	return 3 * time.Second
}

// ticksOn makes sure that the loop ticks on, whatever hangs: not one tick in two may be
// missing, on the busiest machine.
func (d *daemon) ticksOn() control.Status {
	d.t.Helper()
	var before, s control.Status
	d.wait("ticks", func() bool {
		before = d.status()
		return !before.LastTick.IsZero()
	})
	d.wait("ticks on", func() bool {
		s = d.status()
		return s.LastTick.Sub(before.LastTick) >= hangs()
	})
	ticks := int(hangs() / (250 * time.Millisecond))
	missed := s.MissedTicks - before.MissedTicks
	if missed > ticks/2 {
		d.t.Errorf("%d of %d ticks did not come", missed, ticks)
	}
	d.t.Logf("%d of %d ticks did not come", missed, ticks)
	return s
}

// proc makes a tree for --root with the kernel's own files, but for those that the test puts
// in their place.
func proc(t *testing.T, but ...string) (root string) {
	t.Helper()
	root = t.TempDir()
	for _, path := range []string{"proc/stat", "proc/net/softnet_stat", "proc/net/sockstat", "proc/net/netstat", "proc/net/snmp",
		"proc/net/dev", "proc/loadavg", "proc/meminfo"} {
		if strings.Contains(strings.Join(but, " "), path) {
			continue
		}
		if err := os.MkdirAll(filepath.Join(root, filepath.Dir(path)), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.Symlink("/"+path, filepath.Join(root, path)); err != nil {
			t.Fatal(err)
		}
	}
	return root
}

// A file below /proc hangs in the kernel, as one whose lock a driver holds: it costs itself
// only, the manifest says for how long, and when it is back it is read again.
func TestFileThatHangs(t *testing.T) {
	t.Parallel()
	const path = "proc/net/sockstat"
	root := proc(t, path)
	file := hang.File(t, filepath.Join(root, path), "TCP: inuse 1 orphan 3 tw 6 alloc 1 mem 0\n")
	d := start(t, testns.New(t), "", "--root", root, "--interface", "lo")
	t.Cleanup(file.Unmount) // before the recorder is waited for: what hangs keeps it
	d.says("armed on", 1)
	d.wait("measures", func() bool { return d.status().Vitals["tcp.orphans"] == 3 })
	file.Hold()
	d.says("vitals of sockstat: reading it does not come back", 1)
	d.says("snapshot: reading "+path+" does not come back", 1)
	s := d.ticksOn()
	if _, ok := s.Vitals["tcp.orphans"]; ok {
		t.Error("tcp.orphans has a value while its file hangs")
	}
	if _, ok := s.Vitals["cpu.steal"]; !ok {
		t.Error("another meter has no value")
	}
	d.signal(unix.SIGUSR1)
	d.says("bundle written", 1)
	bundle := d.bundle()
	for name, want := range map[string]string{
		"vitals.sockstat": "left out until it does; nothing for ", "snapshots": path + " gave nothing for ",
	} {
		if got := source(t, bundle, name); got.State != format.Partial || !strings.Contains(got.Reason, want) {
			t.Errorf("%s: %+v", name, got)
		}
	}
	file.Release()
	d.says("vitals of sockstat are measured again", 1)
	d.says("snapshot: "+path+" is read again", 1)
	d.wait("measures again", func() bool { return d.status().Vitals["tcp.orphans"] == 3 })
}

// Files hang already when they are opened, and the kernel log is a pipe: it is armed all the
// same, and they come when they can. A signal meanwhile asks for a bundle and does not kill.
func TestOpeningHangs(t *testing.T) {
	t.Parallel()
	const path = "proc/net/sockstat"
	root := proc(t, path)
	file := hang.File(t, filepath.Join(root, path), "TCP: inuse 1 orphan 3 tw 6 alloc 1 mem 0\n")
	must(t, os.Mkdir(filepath.Join(root, "dev"), 0o755))
	must(t, unix.Mkfifo(filepath.Join(root, "dev/kmsg"), 0o644))
	file.Hold()
	d := start(t, testns.New(t), "", "--root", root, "--interface", "lo")
	t.Cleanup(file.Unmount) // before the recorder is waited for: what hangs keeps it
	d.wait("opens its files", func() bool { return file.Hanging() > 0 })
	d.signal(unix.SIGUSR1)
	d.says("armed on", 1)
	d.says("triggered: signal SIGUSR1", 1)
	d.says("vitals of sockstat: opening it does not come back", 1)
	d.says("snapshots go without "+path, 1)
	d.ticksOn()
	d.says("bundle written", 1)
	if s := source(t, d.bundle(), "vitals.sockstat"); s.State != format.Failed {
		t.Errorf("of a file that was never opened: %+v", s)
	}
	file.Release()
	d.wait("measures", func() bool { return d.status().Vitals["tcp.orphans"] == 3 })
}

// The folder for bundles hangs, as on a file server that is gone: at the start, and at a
// trigger. It is armed, ticks on, and writes when there is a folder.
func TestFolderThatHangs(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "bundles")
	folder := hang.Folder(t, dir)
	folder.Hold()
	d := start(t, testns.New(t), "", "--dir", dir)
	t.Cleanup(folder.Unmount)
	d.dir = dir
	d.says("does not answer; armed all the same", 1)
	d.says("armed on", 1)
	d.signal(unix.SIGUSR1)
	d.says("rings cut", 1)
	if s := d.ticksOn(); !s.Pending && d.status().LastError == "" { // after 30 s it is given up
		t.Error("no bundle is pending")
	}
	folder.Unmount()
	d.wait("has ended the first bundle", func() bool { return !d.status().Pending })
	d.signal(unix.SIGUSR1)
	d.says("bundle written", 1)
}

// Clients that send nothing, half a request, or never read what they asked for.
func TestClientsThatHang(t *testing.T) {
	t.Parallel()
	d := start(t, testns.New(t), "")
	d.says("armed on", 1)
	for i := range 60 {
		c, err := net.Dial("unix", d.ctl.Socket)
		must(t, err)
		defer c.Close()
		_, err = fmt.Fprint(c, []string{"", "GET /sta", "POST /trigger HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\nab",
			strings.Repeat("GET /status HTTP/1.1\r\nHost: x\r\n\r\n", 100)}[i%4])
		must(t, err)
	}
	// Not all of them are heard at once, so that this one is answered late: when their time is over.
	d.wait("answers", func() bool { _, _, err := d.ctl.Status(t.Context()); return err == nil })
	d.ticksOn()
	if d.signal(unix.SIGTERM); d.exits() != 0 {
		t.Error("it did not end well")
	}
}

// The whole process stands still for some seconds of a window (SIGSTOP): every ring that it
// fills itself is partial, with how long.
func TestProcessThatStands(t *testing.T) {
	t.Parallel()
	const stood = 5 * time.Second
	d := start(t, testns.New(t), "", "--interface", "lo")
	d.says("armed on", 1)
	d.ticksOn() // with snapshots on both sides of the gap
	missed := int(stood/(250*time.Millisecond)) - 2
	d.signal(unix.SIGSTOP)
	time.Sleep(stood)
	d.signal(unix.SIGCONT)
	d.wait("ticks missed are counted", func() bool { return d.status().MissedTicks >= missed })
	d.ticksOn()
	d.signal(unix.SIGUSR1)
	d.says("bundle written", 1)
	bundle := d.bundle()
	for _, s := range bundle.Manifest.Sources {
		ring := strings.HasPrefix(s.Name, "vitals.") && s.State != format.Unsupported || s.Name == "snapshots" || s.Name == "events"
		if ring && (s.State != format.Partial || !strings.Contains(s.Reason, "nothing for ") || s.Silence.Total < stood/2) {
			t.Errorf("%s is %s, though the recorder stood still: %q, %v", s.Name, s.State, s.Reason, s.Silence)
		}
	}
	if s := source(t, bundle, "vitals.cpu"); s.Unit != "ticks" || s.Lost < 18 {
		t.Errorf("vitals.cpu: %+v, want some 20 ticks lost", s)
	}
	if strings.Contains(d.log(), "does not come back") {
		t.Error("what stood still was taken for files that hang")
	}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
