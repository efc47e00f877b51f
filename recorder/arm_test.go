//go:build linux

package recorder_test

import (
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/spikebox/spikebox/format"
	"github.com/spikebox/spikebox/format/member"
	"github.com/spikebox/spikebox/recorder/internal/testns"
)

// A host without any interface but a loopback that is down, and no traffic at all.
func TestNothingToRecord(t *testing.T) {
	t.Parallel()
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

// nobody runs the rest of its line without any capability but those that are named.
func nobody(capabilities string) string {
	return `exec setpriv --reuid 65534 --clear-groups --inh-caps -all` + capabilities + ` --ambient-caps -all` + capabilities +
		` --bounding-set -all` + capabilities + ` "$@"`
}

// nobodysFolder is one that a user without privileges may write to.
func nobodysFolder(t *testing.T) string {
	t.Helper()
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
	return dir
}

// Without any capability there are no packets and no probes. It records what is left, and
// says what packets need, in the log and in the manifest.
func TestWithoutPrivileges(t *testing.T) {
	t.Parallel()
	dir := nobodysFolder(t)
	d := start(t, testns.New(t), nobody(""), "--interface", "lo", "--dir", dir, "--control", "", "--once")
	d.dir = dir
	const sentence = "open packet socket on lo: operation not permitted: it needs CAP_NET_RAW; run as root or use the systemd unit"
	d.says("packets are not recorded: "+sentence, 1)
	d.says("armed on no interface", 1)
	d.signal(unix.SIGUSR1)
	if code := d.exits(); code != 0 {
		t.Fatalf("exit code %d", code)
	}
	bundle := d.bundle()
	if s := source(t, bundle, "packets"); s.State != format.Unsupported || s.Reason != sentence || s.Members != nil {
		t.Errorf("packets: %+v", s)
	}
	for _, name := range []string{"vitals.tcp", "snapshots"} {
		if s := source(t, bundle, name); s.State != format.Complete {
			t.Errorf("%s: %+v", name, s)
		}
	}
	if _, err := bundle.Open(member.PacketsName); err == nil {
		t.Error("there is a member of packets")
	}
}

// In a user namespace of its own it is root, and bpf(2) is refused all the same. Why is said
// in one line, and blames no limit that was never in the way.
func TestInUserNamespace(t *testing.T) {
	t.Parallel()
	dir := nobodysFolder(t)
	d := start(t, testns.New(t), `exec unshare --user --map-root-user "$@"`, "--dir", dir, "--control", "")
	d.says("armed on", 1)
	if log := d.log(); strings.Count(log, "user namespace") != 1 || strings.Contains(log, "CAP_SYS_RESOURCE") {
		t.Errorf("said:\n%s", log)
	}
}

// An interface that is not there yet, comes, and goes again: the recorder lives and says so.
func TestInterfaceComesAndGoes(t *testing.T) {
	t.Parallel()
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
	t.Parallel()
	dir := nobodysFolder(t)
	ns := testns.New(t)
	d := start(t, ns, nobody(",+net_raw"), "--once", "--dir", dir, "--control", "")
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

// A bundle of a recorder that was armed a moment ago begins when it was, and lacks nothing: what
// an interface had seen before is not missing.
func TestFirstBundleIsComplete(t *testing.T) {
	t.Parallel()
	ns := testns.New(t)
	testns.Do(t, ns, func() {
		if err := netlink.LinkSetUp(&netlink.Dummy{LinkAttrs: netlink.LinkAttrs{Index: 1}}); err != nil {
			t.Error(err)
		}
		c, err := net.Dial("udp", "127.0.0.1:9")
		if err != nil {
			t.Error(err)
			return
		}
		defer c.Close()
		c.Write([]byte("before"))
	})
	d := start(t, ns, "", "--interface", "lo")
	d.says("armed on", 1)
	d.signal(unix.SIGUSR1)
	d.says("bundle written", 1)
	if s := source(t, d.bundle(), "packets"); s.State != format.Complete {
		t.Errorf("packets are %+v", s)
	}
}
