//go:build linux

package recorder_test

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/spikebox/spikebox/format"
	"github.com/spikebox/spikebox/recorder/control"
	"github.com/spikebox/spikebox/recorder/internal/testns"
)

func TestSecondOnTheSameSocketIsRefused(t *testing.T) {
	t.Parallel()
	ns := testns.New(t)
	socket := filepath.Join(t.TempDir(), "control.sock")
	first := start(t, ns, "", "--control", socket)
	first.says("armed on", 1)
	second := start(t, ns, "", "--control", socket)
	if code := second.exits(); code != 1 || !strings.Contains(second.log(), "another spikeboxd is armed") {
		t.Errorf("exit code %d, %q", code, second.log())
	}
	// One that was killed leaves its socket behind, which does not keep the next out.
	first.signal(unix.SIGKILL)
	first.exits()
	third := start(t, ns, "", "--control", socket)
	third.says("armed on", 1)
}

// Two triggers within one window make one bundle that names both.
func TestTriggersJoin(t *testing.T) {
	t.Parallel()
	d := start(t, testns.New(t), "", "--after", "1s")
	d.says("armed on", 1)
	d.signal(unix.SIGUSR1)
	d.says("triggered", 1)
	d.signal(unix.SIGUSR1)
	d.says("joins", 1)
	d.says("bundle written", 1)
	if got := d.bundle().Manifest.Joined; len(got) != 1 {
		t.Errorf("%d triggers joined, want 1", len(got))
	}
}

// A line of the kernel log that matches fires, and is in the bundle.
func TestKernelLogPattern(t *testing.T) {
	t.Parallel()
	kmsg, err := os.OpenFile("/dev/kmsg", os.O_WRONLY, 0)
	if err != nil {
		t.Skip("needs root: run make test as root")
	}
	defer kmsg.Close()
	mark := fmt.Sprintf("spikebox-test-%d: table full", os.Getpid())
	d := start(t, testns.New(t), "", "--once", "--kmsg", mark)
	d.says("armed on", 1)
	if _, err := kmsg.WriteString("<4>" + mark + "\n"); err != nil {
		t.Fatal(err)
	}
	if code := d.exits(); code != 0 {
		t.Fatalf("exit code %d", code)
	}
	bundle := d.bundle()
	if got := bundle.Manifest.Trigger; got.Kind != "kmsg" || got.Reason != mark {
		t.Errorf("trigger %+v", got)
	}
	member, err := bundle.Open("kmsg.txt")
	if err != nil {
		t.Fatal(err)
	}
	defer member.Close()
	text, err := io.ReadAll(member)
	if err != nil || !strings.Contains(string(text), " 4 "+mark+"\n") {
		t.Errorf("kmsg.txt is %q (%v)", text, err)
	}
}

// Over the control socket: what it records, and a bundle by hand.
func TestControlSocket(t *testing.T) {
	t.Parallel()
	socket := filepath.Join(t.TempDir(), "control.sock")
	d := start(t, testns.New(t), "", "--control", socket, "--interface", "lo")
	d.says("armed on", 1)
	client := control.Client{Socket: socket}
	ask := func() control.Status {
		t.Helper()
		s, _, err := client.Status(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	d.wait("has ticked", func() bool { return !ask().LastTick.Before(ask().Armed) })
	if s := ask(); len(s.Interfaces) != 1 || s.Interfaces[0].Name != "lo" || len(s.Vitals) == 0 || len(s.Sources) == 0 || s.Bundles != 0 {
		t.Errorf("status %+v", s)
	}
	if err := client.Trigger(t.Context(), "be\x1b[31mcause\nspikeboxd: error: forged"); err != nil {
		t.Fatal(err)
	}
	d.wait("has written", func() bool { return ask().Bundles == 1 })
	of := func(b format.Baseline) bool { return b.Vital == "rtt.excess.p99" && b.Needs > 0 }
	if got := d.bundles()[0].Manifest.Baselines; !slices.ContainsFunc(got, of) {
		t.Errorf("baselines %+v, want those of the default factors", got)
	}
	if got := d.bundles()[0].Manifest.Trigger; got.Kind != "control" || got.Reason != "be\x1b[31mcause\nspikeboxd: error: forged" {
		t.Errorf("trigger %+v", got)
	}
	// The manifest keeps the words as they are; the log gives no command to a terminal.
	d.says(`triggered: control be\u001b[31mcause\u000aspikeboxd: error: forged`, 1)
	if info, err := os.Stat(socket); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("socket: %v, %v; only its owner may ask", info.Mode(), err)
	}
}

// A trigger that is held back is said once, is in status, and in the next bundle; neither
// its budget nor its cooldown begins anew with a restart; a person is never held back.
func TestHeldBack(t *testing.T) {
	t.Parallel()
	kmsg, err := os.OpenFile("/dev/kmsg", os.O_WRONLY, 0)
	if err != nil {
		t.Skip("needs root: run make test as root")
	}
	defer kmsg.Close()
	mark := fmt.Sprintf("spikebox-held-%d", os.Getpid())
	ns, dir, socket := testns.New(t), filepath.Join(t.TempDir(), "bundles"), filepath.Join(t.TempDir(), "control.sock")
	arm := func() *daemon {
		d := start(t, ns, "", "--dir", dir, "--control", socket, "--kmsg", mark, "--cooldown", "1h", "--max-per-day", "1")
		d.dir = dir
		d.says("armed on", 1)
		return d
	}
	shout := func() {
		if _, err := kmsg.WriteString("<4>" + mark + "\n"); err != nil {
			t.Fatal(err)
		}
	}
	d := arm()
	shout()
	d.says("bundle written", 1)
	d.signal(unix.SIGTERM)
	if code := d.exits(); code != 0 {
		t.Fatalf("exit code %d", code)
	}
	d = arm()
	shout()
	d.says("held back until 2", 1)
	shout()
	client := control.Client{Socket: socket}
	d.wait("counts two", func() bool {
		s, _, err := client.Status(t.Context())
		return err == nil && len(s.HeldBack) == 1 && s.HeldBack[0].Count == 2 && s.Suppressed == 2
	})
	d.signal(unix.SIGUSR1)
	d.says("bundle written", 1)
	if n := strings.Count(d.log(), "held back until"); n != 1 {
		t.Errorf("it was said %d times", n)
	}
	all := d.bundles()
	held := all[len(all)-1].Manifest.HeldBack
	if len(all) != 2 || len(held) != 1 || held[0].Trigger != "kmsg "+mark || held[0].Count != 2 || held[0].Reason != "max-per-day" {
		t.Errorf("%d bundles, held back %+v", len(all), held)
	}
}
