//go:build linux

package recorder_test

import (
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/vishvananda/netlink"

	"github.com/spikebox/spikebox/recorder/control"
	"github.com/spikebox/spikebox/recorder/internal/testns"
)

// states gives a drill's steps as name=state.
func states(d control.Drill) string {
	var all []string
	for _, s := range d.Steps {
		all = append(all, s.Name+"="+s.State)
	}
	return strings.Join(all, " ")
}

// drilled has a recorder drill.
func (d *daemon) drilled() control.Drill {
	d.t.Helper()
	drill, _, err := d.ctl.Drill(d.t.Context())
	if err != nil {
		d.t.Fatal(err)
	}
	return drill
}

const allOK = "event=ok rings=ok packets=ok events=ok vitals=ok bundle=ok"

// An armed recorder sees an event of its own in all that it records, also right after arming, and leaves
// nothing of it but what it says. A trigger that fires meanwhile has its bundle.
func TestDrill(t *testing.T) {
	t.Parallel()
	for _, way := range []string{"auto", "tpacket"} {
		t.Run(way, func(t *testing.T) {
			d := start(t, testns.New(t), "", "--interface", "lo", "--capture", way, "--trigger", "syn_recv > 1000000")
			d.says("armed on", 1)
			// What a killed one left, and what is no drill's.
			must(t, os.WriteFile(filepath.Join(d.dir, d.status().Host+"-20260102T030405Z-drill~2.spike.tar.zst"), nil, 0o600))
			kept := filepath.Join(d.dir, "other-20260102T030405Z-drill.spike.tar.zst")
			must(t, os.WriteFile(kept, nil, 0o600))
			if got := d.drilled(); states(got) != allOK || got.State != control.StepOK {
				t.Errorf("%+v", got)
			}
			if s := d.status(); s.Drill == nil || s.Drill.State != control.StepOK || s.Bundles != 0 || s.Pending {
				t.Errorf("status %+v", s)
			}
			must(t, os.Remove(kept))
			if left := d.bundles(); len(left) != 0 {
				t.Errorf("%d bundles are left", len(left))
			}
			var wait sync.WaitGroup
			drills := make([]control.Drill, 2)
			for i := range drills {
				wait.Go(func() { drills[i] = d.drilled() })
			}
			must(t, d.ctl.Trigger(t.Context(), "a look"))
			d.says("bundle written", 1)
			wait.Wait()
			if a, b := states(drills[0]), states(drills[1]); a != allOK && b != allOK {
				t.Errorf("two at once: %q and %q", a, b)
			}
			if b := d.bundle(); b.Manifest.Trigger.Reason != "a look" {
				t.Errorf("trigger %+v", b.Manifest.Trigger)
			}
			d.says("drill ok: an event of its own was in", 2)
			d.signal(unix.SIGTERM)
			if code := d.exits(); code != 0 {
				t.Errorf("exit code %d", code)
			}
		})
	}
}

// What this host does not give could not be tried; what is armed and does not work has failed.
func TestDrillTells(t *testing.T) {
	t.Parallel()
	dir := nobodysFolder(t)
	socket := filepath.Join(dir, "control.sock")
	d := start(t, testns.New(t), nobody(",+net_raw"), "--interface", "lo", "--dir", filepath.Join(dir, "bundles"), "--control", socket)
	d.ctl.Socket = socket
	d.says("armed on", 1)
	got := d.drilled()
	if states(got) != "event=ok rings=ok packets=ok events=untried vitals=ok bundle=ok" || got.State != control.StepUntried ||
		!strings.Contains(got.Steps[3].Text, "CAP_BPF") {
		t.Errorf("without CAP_BPF: %+v", got)
	}
	must(t, os.RemoveAll(filepath.Join(dir, "bundles")))
	must(t, os.WriteFile(filepath.Join(dir, "bundles"), nil, 0o600))
	if got = d.drilled(); states(got) != "event=ok rings=ok bundle=failed" || got.State != control.StepFailed {
		t.Errorf("with a file for a folder: %+v", got)
	}
	d.says("drill failed: bundle failed: make folder for bundles: ", 1)

	ns := testns.New(t)
	testns.Do(t, ns, func() {
		lo, err := netlink.LinkByName("lo")
		must(t, err)
		must(t, netlink.LinkSetDown(lo))
	})
	down := start(t, ns, "", "--interface", "eth7")
	down.says("armed on", 1)
	if got := down.drilled(); states(got) != "event=untried rings=untried bundle=ok" || !strings.Contains(got.Steps[0].Text, "loopback is down") {
		t.Errorf("without loopback: %+v", got)
	}
	dry := start(t, ns, "", "--dry-run", "--interface", "eth7")
	dry.says("armed on", 1)
	if got := dry.drilled(); states(got) != "event=untried" || got.State != control.StepUntried {
		t.Errorf("with --dry-run: %+v", got)
	}
}
