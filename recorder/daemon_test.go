//go:build linux

package recorder_test

import (
	"bufio"
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/vishvananda/netns"
	"golang.org/x/sys/unix"

	"github.com/spikebox/spikebox/format"
	"github.com/spikebox/spikebox/recorder/control"
	"github.com/spikebox/spikebox/recorder/internal/testns"
)

// patience bounds every wait for something that must happen; a busy machine is slow, and
// nothing here depends on how slow.
const patience = 60 * time.Second

var binary string

func TestMain(m *testing.M) {
	if dir := os.Getenv(heldEnv); dir != "" {
		hold(dir)
		return
	}
	if figures, ok := os.LookupEnv(budgetEnv); ok {
		armWithBudget(figures)
		return
	}
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
	ctl  control.Client
	mu   sync.Mutex
	said bytes.Buffer
	out  bytes.Buffer
	done chan struct{}
}

// start runs spikeboxd in a namespace, without a CPU budget unless args give one: what it
// records must not depend on what else the machine has to do. A wrapper, a shell command that ends in
// `exec "$@"`, may prepare the process.
func start(t *testing.T, ns netns.NsHandle, wrapper string, args ...string) *daemon {
	t.Helper()
	d := &daemon{t: t, dir: filepath.Join(t.TempDir(), "bundles"), done: make(chan struct{})}
	d.ctl.Socket = filepath.Join(t.TempDir(), "control.sock")
	args = append([]string{binary, "run", "--dir", d.dir, "--after", "300ms", "--min-free", "0%", "--cpu-budget", "off", "--log-level", "debug",
		"--control", d.ctl.Socket}, args...)
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

// status asks the recorder how it is.
func (d *daemon) status() control.Status {
	d.t.Helper()
	s, _, err := d.ctl.Status(d.t.Context())
	if err != nil {
		d.t.Fatal(err)
	}
	return s
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
		if strings.HasSuffix(path, ".truncated"+format.Ext) { // what a killed one left is no whole bundle
			continue
		}
		r, err := format.Open(path, format.Limits{})
		if err != nil {
			d.t.Fatal(err)
		}
		d.t.Cleanup(func() { r.Close() })
		for _, err := range format.Check(r) {
			if strings.HasSuffix(path, ".truncated"+format.Ext) { // a killed one has left it, and it says so
				continue
			}
			d.t.Errorf("%s: %v", path, err)
		}
		readers = append(readers, r)
	}
	return readers
}

// bundle gives the one bundle that there must be.
func (d *daemon) bundle() *format.Reader {
	d.t.Helper()
	readers := d.bundles()
	if len(readers) != 1 {
		d.t.Fatalf("%d bundles, want 1", len(readers))
	}
	return readers[0]
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
