//go:build linux

package recorder_test

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netns"
	"golang.org/x/sys/unix"

	"github.com/spikebox/spikebox/format"
	"github.com/spikebox/spikebox/recorder"
	"github.com/spikebox/spikebox/recorder/internal/testns"
)

// patience bounds every wait for something that must happen; a busy machine is slow, and
// nothing here depends on how slow.
const patience = 60 * time.Second

var binary string

func TestMain(m *testing.M) {
	dir, err := os.MkdirTemp("", "spikeboxd")
	if err != nil {
		panic(err)
	}
	binary = filepath.Join(dir, "spikeboxd")
	build := exec.Command("go", "build", "-o", binary, "../cmd/spikeboxd")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		fmt.Fprintf(os.Stderr, "build spikeboxd: %v\n%s", err, out)
		os.Exit(1)
	}
	// The binary must be reachable for users without privileges.
	os.Chmod(dir, 0o755)
	code := m.Run()
	os.RemoveAll(dir)
	os.Exit(code)
}

// daemon is a running spikeboxd.
type daemon struct {
	t    *testing.T
	cmd  *exec.Cmd
	dir  string // of bundles
	mu   sync.Mutex
	said bytes.Buffer
	out  bytes.Buffer
	done chan struct{}
}

// start runs spikeboxd in a namespace. A wrapper, a shell command that ends in
// `exec "$@"`, may prepare the process.
func start(t *testing.T, ns netns.NsHandle, wrapper string, args ...string) *daemon {
	t.Helper()
	d := &daemon{t: t, dir: filepath.Join(t.TempDir(), "bundles"), done: make(chan struct{})}
	args = append([]string{binary, "run", "--dir", d.dir, "--after", "300ms", "--min-free", "0%",
		"--control", filepath.Join(t.TempDir(), "control.sock")}, args...)
	d.cmd = exec.Command(args[0], args[1:]...)
	if wrapper != "" {
		d.cmd = exec.Command("sh", append([]string{"-c", wrapper, "sh"}, args...)...)
		d.cmd.SysProcAttr = &syscall.SysProcAttr{Unshareflags: unix.CLONE_NEWNS}
	}
	d.cmd.Stdout = &d.out
	stderr, err := d.cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	testns.Do(t, ns, func() { err = d.cmd.Start() })
	if err != nil {
		t.Fatal(err)
	}
	go func() {
		defer close(d.done)
		for lines := bufio.NewScanner(stderr); lines.Scan(); {
			d.mu.Lock()
			d.said.WriteString(lines.Text() + "\n")
			d.mu.Unlock()
		}
	}()
	t.Cleanup(func() {
		d.cmd.Process.Kill()
		<-d.done
		d.cmd.Wait()
		if t.Failed() {
			t.Logf("spikeboxd said:\n%s", d.log())
		}
	})
	return d
}

func (d *daemon) log() string {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.said.String()
}

// says waits for a text in the log, n times.
func (d *daemon) says(text string, n int) {
	d.t.Helper()
	d.wait(fmt.Sprintf("says %q", text), func() bool { return strings.Count(d.log(), text) >= n })
}

func (d *daemon) wait(what string, ok func() bool) {
	d.t.Helper()
	for deadline := time.Now().Add(patience); !ok(); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(deadline) {
			d.t.Fatalf("waited %v for: spikeboxd %s", patience, what)
		}
	}
}

func (d *daemon) signal(s os.Signal) {
	d.t.Helper()
	if err := d.cmd.Process.Signal(s); err != nil {
		d.t.Fatal(err)
	}
}

// exits waits for the end and gives the exit code.
func (d *daemon) exits() int {
	d.t.Helper()
	d.wait("ends", func() bool {
		select {
		case <-d.done:
			return true
		default:
			return false
		}
	})
	d.cmd.Wait()
	return d.cmd.ProcessState.ExitCode()
}

// bundles opens and verifies every bundle in the folder, and makes sure that nothing
// half lies beside them under a final name.
func (d *daemon) bundles() []*format.Reader {
	d.t.Helper()
	paths, err := filepath.Glob(filepath.Join(d.dir, "[^.]*")) // hidden ones have no final name yet
	if err != nil {
		d.t.Fatal(err)
	}
	var readers []*format.Reader
	for _, path := range paths {
		r, err := format.Open(path, format.Limits{})
		if err != nil {
			d.t.Fatal(err)
		}
		d.t.Cleanup(func() { r.Close() })
		for _, err := range format.Check(r) {
			d.t.Errorf("%s: %v", path, err)
		}
		readers = append(readers, r)
	}
	return readers
}

func source(t *testing.T, r *format.Reader, name string) format.Source {
	t.Helper()
	for _, s := range r.Manifest.Sources {
		if s.Name == name {
			return s
		}
	}
	t.Fatalf("the manifest has no source %q", name)
	return format.Source{}
}

// A host without any interface but a loopback that is down, and no traffic at all.
func TestNothingToRecord(t *testing.T) {
	d := start(t, testns.New(t), "", "--once")
	d.says("armed on no interface yet", 1)
	d.signal(unix.SIGUSR1)
	if code := d.exits(); code != 0 {
		t.Fatalf("exit code %d", code)
	}
	readers := d.bundles()
	if len(readers) != 1 {
		t.Fatalf("%d bundles, want 1", len(readers))
	}
	if got := strings.TrimSpace(d.out.String()); filepath.Base(got) != readers[0].Manifest.Name+format.Ext {
		t.Errorf("--once printed %q, want the bundle's path", got)
	}
	if s := source(t, readers[0], "packets"); s.State != format.Partial || s.Reason == "" {
		t.Errorf("packets: %+v, want partial with the reason", s)
	}
}

func TestSecondOnTheSameSocketIsRefused(t *testing.T) {
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

func TestWithoutPrivileges(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("to give up privileges it needs root")
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
	if got := len(d.bundles()); got != 1 {
		t.Errorf("%d bundles, want 1", got)
	}
}

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
	if got := len(f.bundles()); got != 1 {
		t.Errorf("%d bundles, want 1", got)
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

// SIGTERM between a trigger and the end of its window, or the hangup of the terminal it was
// started from: the bundle is cut at once, whole.
func TestStoppedInTheWindow(t *testing.T) {
	for _, sig := range []unix.Signal{unix.SIGTERM, unix.SIGHUP} {
		d := start(t, testns.New(t), "", "--after", "5m")
		d.says("armed on", 1)
		d.signal(unix.SIGUSR1)
		d.says("triggered", 1)
		d.signal(sig)
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

// Two triggers within one window make one bundle that names both.
func TestTriggersJoin(t *testing.T) {
	d := start(t, testns.New(t), "", "--after", "1s")
	d.says("armed on", 1)
	d.signal(unix.SIGUSR1)
	d.says("triggered", 1)
	d.signal(unix.SIGUSR1)
	d.says("joins", 1)
	d.says("bundle written", 1)
	readers := d.bundles()
	if len(readers) != 1 || len(readers[0].Manifest.Joined) != 1 {
		t.Errorf("%d bundles", len(readers))
	}
}

// A line of the kernel log that matches fires, and is in the bundle.
func TestKernelLogPattern(t *testing.T) {
	kmsg, err := os.OpenFile("/dev/kmsg", os.O_WRONLY, 0)
	if err != nil {
		t.Skipf("open the kernel log: %v: it needs root", err)
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
	readers := d.bundles()
	if len(readers) != 1 {
		t.Fatalf("%d bundles, want 1", len(readers))
	}
	if got := readers[0].Manifest.Trigger; got.Kind != "kmsg" || got.Reason != mark {
		t.Errorf("trigger %+v", got)
	}
	member, err := readers[0].Open("kmsg.txt")
	if err != nil {
		t.Fatal(err)
	}
	defer member.Close()
	text, err := io.ReadAll(member)
	if err != nil || !strings.Contains(string(text), " 4 "+mark+"\n") {
		t.Errorf("kmsg.txt is %q (%v)", text, err)
	}
}

// Without CAP_BPF it records all the same, by sock_diag and /proc, and the manifest says so.
func TestWithoutBPF(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("to give up privileges it needs root")
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
	readers := d.bundles()
	if len(readers) != 1 {
		t.Fatalf("%d bundles, want 1", len(readers))
	}
	for name, want := range map[string]format.Source{
		"vitals.rtt":       {State: format.Partial, Variant: "sock_diag"},
		"vitals.listeners": {State: format.Partial, Variant: "sock_diag"},
		"vitals.tcp":       {State: format.Complete, Variant: "proc"},
		"vitals.softirq":   {State: format.Unsupported},
		"probe.softirq":    {State: format.Unsupported},
	} {
		got := source(t, readers[0], name)
		if got.State != want.State || got.Variant != want.Variant {
			t.Errorf("%s is %s by %q, want %s by %q", name, got.State, got.Variant, want.State, want.Variant)
		}
		if got.State != format.Complete && (!strings.Contains(got.Reason, "CAP_BPF") || strings.Contains(got.Reason, "MEMLOCK")) {
			t.Errorf("%s: reason %q, want one that names CAP_BPF", name, got.Reason)
		}
	}
}

// Over the control socket: what it records, and a bundle by hand.
func TestControlSocket(t *testing.T) {
	socket := filepath.Join(t.TempDir(), "control.sock")
	d := start(t, testns.New(t), "", "--control", socket, "--interface", "lo")
	d.says("armed on", 1)
	client := http.Client{Transport: &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, "unix", socket)
	}}}
	ask := func() (s recorder.Status) {
		t.Helper()
		resp, err := client.Get("http://x/status")
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		if err := json.NewDecoder(resp.Body).Decode(&s); err != nil {
			t.Fatal(err)
		}
		return s
	}
	d.wait("has ticked", func() bool { return !ask().LastTick.Before(ask().Armed) })
	if s := ask(); len(s.Interfaces) != 1 || s.Interfaces[0].Name != "lo" || len(s.Vitals) == 0 || len(s.Sources) == 0 || s.Bundles != 0 {
		t.Errorf("status %+v", s)
	}
	resp, err := client.Post("http://x/trigger", "text/plain", strings.NewReader("be\x1b[31mcause\nspikeboxd: error: forged"))
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	d.wait("has written", func() bool { return ask().Bundles == 1 })
	if got := d.bundles()[0].Manifest.Trigger; got.Kind != "control" || got.Reason != "be\x1b[31mcause\nspikeboxd: error: forged" {
		t.Errorf("trigger %+v", got)
	}
	// The manifest keeps the words as they are; the log gives no command to a terminal.
	d.says("triggered: control be?[31mcause?spikeboxd: error: forged", 1)
	if info, err := os.Stat(socket); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("socket: %v, %v; only its owner may ask", info.Mode(), err)
	}
}
