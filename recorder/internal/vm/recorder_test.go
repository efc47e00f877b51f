//go:build linux

package vm

import (
	"bufio"
	"bytes"
	"fmt"
	"net"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/spikebox/spikebox/format"
)

// TestRecorderInVM is the part of TestKernels that runs in a VM: the real recorder is
// armed, told to cut, and its bundle is whole and says that every probe was armed whose
// tracepoints the kernel has.
func TestRecorderInVM(t *testing.T) {
	if _, err := os.Stat(daemon); err != nil || os.Getenv("SPIKEBOX_TEST_VM") == "" {
		t.Skip("needs VMs, and some minutes: run make test-vm")
	}
	lo, err := netlink.LinkByName("lo")
	if err != nil {
		t.Fatal(err)
	}
	if err := netlink.LinkSetUp(lo); err != nil {
		t.Fatal(err)
	}
	sources, _ := exec.Command(daemon, "sources").Output()
	t.Logf("spikeboxd sources:\n%s", sources)
	path := cutByHand(t)
	r, err := format.Open(path, format.Limits{})
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	for _, err := range append(format.Check(r), r.Damage()...) {
		t.Errorf("bundle: %v", err)
	}
	probes := 0
	for _, s := range r.Manifest.Sources {
		if s.Name == "packets" {
			packets(t, s)
		}
		if !strings.HasPrefix(s.Name, "probe.") {
			continue
		}
		probes++
		switch lacks := "kernel has no helper bpf_sk_storage_get for programs of this kind"; {
		case s.Name == "probe.response" && !since(t, 5, 11):
			if s.State != format.Unsupported || s.Reason != lacks {
				t.Errorf("source %s is %s: %q, want %q", s.Name, s.State, s.Reason, lacks)
			}
		case s.State != format.Complete:
			t.Errorf("source %s is %s: %s", s.Name, s.State, s.Reason)
		}
	}
	if probes < 10 {
		t.Errorf("manifest names %d probes, want at least 10", probes)
	}
}

// TestFilterInVM: a packet socket takes the filter of a port and of prefixes of both families, for which kernels before 6.8 have 20 KiB.
func TestFilterInVM(t *testing.T) {
	if _, err := os.Stat(daemon); err != nil || os.Getenv("SPIKEBOX_TEST_VM") == "" {
		t.Skip("needs VMs, and some minutes: run make test-vm")
	}
	r, err := format.Open(cutByHand(t, "--capture", "tpacket", "--port", "9", "--peer", "127.0.0.0/8", "--peer", "2001:db8::/32"), format.Limits{})
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	for _, s := range r.Manifest.Sources {
		if s.Name == "packets" && (s.State != format.Complete || s.Details["lo.packets"] == "0") {
			t.Errorf("packets are %s (%s): %v", s.State, s.Reason, s.Details)
		}
	}
}

// packets checks that they were captured by tcx where the kernel has it, from Linux 6.6 on, and
// elsewhere in a packet socket's ring, and that the manifest says why.
func packets(t *testing.T, s format.Source) {
	want, because := "tpacket_v3", "Linux 6.6"
	if since(t, 6, 6) {
		want, because = "tcx", ""
	}
	if why := s.Details["lo.capture_why"]; s.Variant != want || !strings.Contains(why, because) || because == "" && why != "" {
		t.Errorf("packets were captured by %s, because %q", s.Variant, why)
	}
	if s.State != format.Complete || s.Details["lo.packets"] == "0" {
		t.Errorf("packets are %s (%s): %v", s.State, s.Reason, s.Details)
	}
}

// since says whether this kernel is that version or a later one.
func since(t *testing.T, major, minor int) bool {
	t.Helper()
	var name unix.Utsname
	if err := unix.Uname(&name); err != nil {
		t.Fatal(err)
	}
	var have [2]int
	if _, err := fmt.Sscanf(unix.ByteSliceToString(name.Release[:]), "%d.%d", &have[0], &have[1]); err != nil {
		t.Fatal(err)
	}
	return have[0] > major || have[0] == major && have[1] >= minor
}

// cutByHand arms the recorder, refuses some connections, fires by signal, and returns
// the bundle's path.
func cutByHand(t *testing.T, flags ...string) string {
	t.Helper()
	cmd := exec.Command(daemon, append([]string{"run", "--interface", "lo", "--dir", t.TempDir(), "--control", "",
		"--before", "5s", "--after", "1s", "--once"}, flags...)...)
	var path bytes.Buffer
	cmd.Stdout = &path
	says, err := cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer cmd.Process.Kill()
	lines := bufio.NewScanner(says)
	for lines.Scan() {
		t.Log(lines.Text())
		if strings.Contains(lines.Text(), "armed on") {
			break
		}
	}
	for range 10 {
		if c, err := net.Dial("tcp4", "127.0.0.1:9"); err == nil {
			c.Close()
		}
	}
	if err := cmd.Process.Signal(syscall.SIGUSR1); err != nil {
		t.Fatal(err)
	}
	for lines.Scan() {
		t.Log(lines.Text())
	}
	if err := cmd.Wait(); err != nil {
		t.Fatalf("recorder: %v", err)
	}
	return strings.TrimSpace(path.String())
}
