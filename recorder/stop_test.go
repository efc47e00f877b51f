//go:build linux

package recorder_test

import (
	"bufio"
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/spikebox/spikebox/format"
	"github.com/spikebox/spikebox/recorder/control"
	"github.com/spikebox/spikebox/recorder/internal/hang"
	"github.com/spikebox/spikebox/recorder/internal/testns"
)

// slowEnd starts a recorder whose bundles take five seconds to be finished, the time limit
// of a source that hangs, and triggers one. As long as the file hangs the kernel keeps the
// process that asked for it, even a dead one.
func slowEnd(t *testing.T) (*daemon, *hang.Mount) {
	t.Helper()
	const path = "proc/sys/net/core/somaxconn"
	root := proc(t)
	file := hang.File(t, filepath.Join(root, path), "4096\n")
	file.Hold()
	d := start(t, testns.New(t), "", "--root", root, "--interface", "lo", "--after", "0s")
	t.Cleanup(file.Unmount) // before the recorder is waited for
	d.says("armed on", 1)
	d.signal(unix.SIGUSR1)
	d.says("rings cut", 1)
	return d, file
}

// Told twice to stop while a bundle is being written, as service managers do: it is finished.
func TestSecondSignalIsSurvived(t *testing.T) {
	t.Parallel()
	d, file := slowEnd(t)
	d.signal(unix.SIGTERM)
	d.says("told to stop by SIGTERM: finishing the bundle", 1)
	if s := d.status(); !s.Pending {
		t.Error("while it finishes no bundle is pending")
	}
	d.signal(unix.SIGINT)
	d.says("told again to stop, by SIGINT: what is pending is being finished; once more within 5s", 1)
	d.says("bundle written", 1)
	file.Release()
	if code := d.exits(); code != 0 {
		t.Errorf("exit code %d", code)
	}
	if s := source(t, d.bundle(), "sysctl"); s.State != format.Failed {
		t.Errorf("sysctl: %+v", s)
	}
}

// A third signal behind the second ends it at once, as was said.
func TestThirdSignalKills(t *testing.T) {
	t.Parallel()
	d, file := slowEnd(t)
	d.signal(unix.SIGTERM)
	d.says("told to stop", 1)
	d.signal(unix.SIGTERM)
	d.says("told again to stop", 1)
	for range 100 { // the log's line may come before the signal kills again
		if d.cmd.Process.Signal(unix.SIGTERM) != nil {
			break
		}
		time.Sleep(10 * time.Millisecond)
	}
	file.Release()
	d.exits()
	if s := d.cmd.ProcessState.Sys().(syscall.WaitStatus); !s.Signaled() || s.Signal() != unix.SIGTERM {
		t.Errorf("ended with %v", d.cmd.ProcessState)
	}
}

// mute runs a recorder whose log goes to a pipe, of which it gives the end to read.
func mute(t *testing.T, args ...string) (d *daemon, log *os.File) {
	t.Helper()
	r, w, err := os.Pipe()
	must(t, err)
	t.Cleanup(func() { r.Close() })
	d = &daemon{t: t, dir: filepath.Join(t.TempDir(), "bundles"), done: make(chan struct{})}
	d.ctl = control.Client{Socket: filepath.Join(t.TempDir(), "control.sock")}
	d.cmd = exec.Command(binary, append([]string{"run", "--dir", d.dir, "--min-free", "0%", "--control", d.ctl.Socket}, args...)...)
	d.cmd.Stderr, d.cmd.Stdout = w, w
	testns.Do(t, testns.New(t), func() { must(t, d.cmd.Start()) })
	must(t, w.Close())
	go func() {
		d.cmd.Wait()
		close(d.done)
	}()
	t.Cleanup(func() {
		d.cmd.Process.Kill()
		<-d.done
	})
	d.wait("answers", func() bool { _, _, err := d.ctl.Status(t.Context()); return err == nil })
	return d, r
}

// Nobody reads the log, and the pipe is full: ticks go on, the recorder answers, drops are
// counted and said when the log moves again, and it ends when it is told to.
func TestLogNobodyReads(t *testing.T) {
	t.Parallel()
	d, log := mute(t, "--dry-run")
	const n = 1500 // of a thousand bytes: more than the pipe's 64 KiB and the queue's 1,024 lines
	flood := func() {
		reason := strings.Repeat("x", 1000)
		for range n {
			must(t, d.ctl.Trigger(t.Context(), reason))
		}
	}
	flood()
	if s := d.ticksOn(); s.LogDropped < 100 || s.LogDropped > n {
		t.Errorf("%d lines dropped of %d", s.LogDropped, n)
	}
	dropped := make(chan string)
	go func() {
		defer close(dropped)
		for lines := bufio.NewScanner(log); lines.Scan(); {
			if strings.Contains(lines.Text(), "dropped") {
				dropped <- lines.Text()
				return // and reads no more
			}
		}
	}()
	select {
	case line, ok := <-dropped:
		if !ok || !strings.Contains(line, "the log took nothing for a while: ") {
			t.Errorf("said %q", line)
		}
	case <-time.After(patience):
		t.Error("it was not said that lines were dropped")
	}
	flood()
	begin := time.Now()
	d.signal(unix.SIGTERM)
	<-d.done
	if code := d.cmd.ProcessState.ExitCode(); code != 0 {
		t.Errorf("exit code %d after %v", code, time.Since(begin))
	}
}

// The reader of the log and of the paths is gone: what it would have read is lost, and
// nothing else.
func TestLogReaderIsGone(t *testing.T) {
	t.Parallel()
	d, log := mute(t, "--once", "--after", "0s")
	must(t, log.Close())
	must(t, d.ctl.Trigger(t.Context(), "gone"))
	<-d.done
	if code := d.cmd.ProcessState.ExitCode(); code != 0 {
		t.Errorf("ended with %v", d.cmd.ProcessState)
	}
	d.bundle()
}

// An error that ends the recorder is said to nobody, and does not keep it from ending.
func TestErrorNobodyReads(t *testing.T) {
	r, w, err := os.Pipe()
	must(t, err)
	defer r.Close()
	defer w.Close()
	fd := int(w.Fd()) // once, since it makes the pipe blocking
	must(t, unix.SetNonblock(fd, true))
	for full := bytes.Repeat([]byte("x"), 4096); err == nil; {
		_, err = unix.Write(fd, full)
	}
	must(t, unix.SetNonblock(fd, false))
	cmd := exec.Command(binary, "run", "--dir", t.TempDir(), "--control", "/dev/null/socket")
	cmd.Stderr = w
	must(t, cmd.Start())
	done := make(chan struct{})
	go func() {
		cmd.Wait()
		close(done)
	}()
	select {
	case <-done:
	case <-time.After(patience):
		cmd.Process.Kill()
		t.Error("it does not end")
	}
}

// What could write no bundle is not armed.
func TestLimitedOpenFiles(t *testing.T) {
	t.Parallel()
	d := start(t, testns.New(t), `ulimit -n 64 && exec "$@"`)
	d.says("keep files open: they are limited to 64, ", 1)
	if code := d.exits(); code != 1 || strings.Contains(d.log(), "armed on") {
		t.Errorf("exit code %d", code)
	}
}

// It ends with a sentence, and not with the runtime's stacks.
func TestLimitedAddressSpace(t *testing.T) {
	d := start(t, testns.New(t), `ulimit -v 1048576 && exec "$@"`)
	d.says("reserve address space: it is limited to 1.0 GiB", 1)
	if strings.Contains(d.log(), "goroutine") {
		t.Error("the runtime has ended it")
	}
}
