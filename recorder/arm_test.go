//go:build linux

package recorder_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/spikebox/spikebox/format"
	"github.com/spikebox/spikebox/recorder/internal/testns"
)

// A host without any interface but a loopback that is down, and no traffic at all.
func TestNothingToRecord(t *testing.T) {
	d := start(t, testns.New(t), "", "--once")
	d.says("armed on no interface yet", 1)
	d.signal(unix.SIGUSR1)
	if code := d.exits(); code != 0 {
		t.Fatalf("exit code %d", code)
	}
	bundle := d.bundle()
	if got := strings.TrimSpace(d.out.String()); filepath.Base(got) != bundle.Manifest.Name+format.Ext {
		t.Errorf("--once printed %q, want the bundle's path", got)
	}
	if s := source(t, bundle, "packets"); s.State != format.Partial || s.Reason == "" {
		t.Errorf("packets: %+v, want partial with the reason", s)
	}
}

func TestWithoutPrivileges(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("needs root: run make test as root")
	}
	d := &daemon{t: t}
	cmd := exec.Command(binary, "run", "--interface", "lo", "--dir", t.TempDir(), "--control", "")
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534}}
	testns.Run(t, func() {
		out, err := cmd.CombinedOutput()
		if cmd.ProcessState == nil || cmd.ProcessState.ExitCode() != 1 {
			t.Errorf("ended with %v, want exit code 1", err)
		}
		d.said.Write(out)
	})
	lines := strings.Split(strings.TrimSpace(d.log()), "\n")
	last := strings.Join(lines[max(0, len(lines)-2):], "\n")
	if !strings.HasPrefix(last, "spikeboxd: error: open packet socket on lo: operation not permitted") || !strings.Contains(last, "CAP_NET_RAW") {
		t.Errorf("said %q", d.log())
	}
}

// An interface that is not there yet, comes, and goes again: the recorder lives and says so.
func TestInterfaceComesAndGoes(t *testing.T) {
	ns := testns.New(t)
	d := start(t, ns, "", "--interface", "eth7")
	d.says("eth7 does not exist", 1)
	d.says("armed on", 1)
	link := &netlink.Veth{LinkAttrs: netlink.LinkAttrs{Name: "eth7"}, PeerName: "peer7"}
	testns.Do(t, ns, func() {
		if err := netlink.LinkAdd(link); err != nil {
			t.Error(err)
		}
		if err := netlink.LinkSetUp(link); err != nil {
			t.Error(err)
		}
	})
	d.says("eth7 is there and recorded", 1)
	testns.Do(t, ns, func() {
		if err := netlink.LinkDel(link); err != nil {
			t.Error(err)
		}
	})
	d.says("eth7 was removed", 1)
	d.signal(unix.SIGUSR1)
	d.says("bundle written", 1)
	d.signal(unix.SIGTERM)
	if code := d.exits(); code != 0 {
		t.Errorf("exit code %d", code)
	}
	d.bundle()
}

// Without CAP_BPF it records all the same, by sock_diag and /proc, and the manifest says so.
func TestWithoutBPF(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("needs root: run make test as root")
	}
	dir, err := os.MkdirTemp("", "spikebox-nobody") // t.TempDir is closed to other users
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	if err := os.Chown(dir, 65534, 65534); err != nil {
		t.Fatal(err)
	}
	ns := testns.New(t)
	d := start(t, ns, `exec setpriv --reuid 65534 --clear-groups --inh-caps -all,+net_raw --ambient-caps -all,+net_raw `+
		`--bounding-set -all,+net_raw "$@"`, "--once", "--dir", dir, "--control", "")
	d.dir = dir
	d.says("kernel probes not armed", 1)
	d.says("armed on", 1)
	d.signal(unix.SIGUSR1)
	if code := d.exits(); code != 0 {
		t.Fatalf("exit code %d", code)
	}
	bundle := d.bundle()
	for name, want := range map[string]format.Source{
		"vitals.rtt":       {State: format.Partial, Variant: "sock_diag"},
		"vitals.listeners": {State: format.Partial, Variant: "sock_diag"},
		"vitals.tcp":       {State: format.Complete, Variant: "proc"},
		"vitals.softirq":   {State: format.Unsupported},
		"probe.softirq":    {State: format.Unsupported},
	} {
		got := source(t, bundle, name)
		if got.State != want.State || got.Variant != want.Variant {
			t.Errorf("%s is %s by %q, want %s by %q", name, got.State, got.Variant, want.State, want.Variant)
		}
		if got.State != format.Complete && (!strings.Contains(got.Reason, "CAP_BPF") || strings.Contains(got.Reason, "MEMLOCK")) {
			t.Errorf("%s: reason %q, want one that names CAP_BPF", name, got.Reason)
		}
	}
}
