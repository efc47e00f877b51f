//go:build linux

package lab

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// recorder is the spikeboxd of a run.
type recorder struct {
	cmd   *exec.Cmd
	said  *tail
	out   bytes.Buffer
	armed chan struct{}
	done  chan struct{}
	err   error // how it ended; valid after done

	mu      sync.Mutex
	firings []Firing
	bundles []string // written, in their order
}

// Arm starts spikeboxd on h and waits until it is armed. The counters are read then.
func (s *Stage) Arm(h *Host) {
	if !s.opt.NoRecorder {
		s.startRecorder(h)
		select {
		case <-s.rec.armed:
		case <-s.rec.done:
			s.check(fmt.Errorf("arm spikeboxd: it ended: %w: %s", s.rec.err, s.rec.said))
		case <-s.ctx.Done():
			s.check(s.ctx.Err())
		case <-time.After(60 * time.Second): // eBPF loading on a loaded machine takes seconds
			s.check(fmt.Errorf("arm spikeboxd: not armed after 60 s: %s", s.rec.said))
		}
		s.truth.Recorder.Armed = time.Now().UnixNano()
	}
	s.Step("spikeboxd is armed on %s", h.name)
	s.mark("armed")
}

// startRecorder starts spikeboxd on the host, with its control socket in the scratch
// folder: only the bundle goes into the run's folder.
func (s *Stage) startRecorder(h *Host) {
	bin, err := findBinary("spikeboxd", s.opt.Spikeboxd)
	s.check(err)
	dir, err := filepath.Abs(s.opt.Dir)
	s.check(err)
	// Without a budget: the lab's whole load, clients too, is this machine's, and its
	// bundles are to have all evidence.
	flags := append([]string{"--dir", dir, "--once", "--cpu-budget", "off",
		"--control", filepath.Join(s.scratch, "control.sock")}, s.truth.Trigger.Flags...)
	if s.opt.Armed {
		flags = []string{"--dir", dir, "--control", filepath.Join(s.scratch, "control.sock")}
		s.check(s.recall(h))
	} else if s.truth.Trigger.Signal {
		// In place of the recorder's default triggers, one that never fires.
		flags = append(flags, "--trigger", "syn_recv > 1000000000")
	}
	if h.name != routerName && !h.bridged { // else on whichever it takes by default
		flags = append(flags, "--interface", "eth0")
	}
	flags = append(flags, "--log-format", "json")
	r := &recorder{cmd: exec.Command(bin, flags...), said: &tail{},
		armed: make(chan struct{}), done: make(chan struct{})}
	r.cmd.Stdout = &r.out
	errs, err := r.cmd.StderrPipe()
	s.check(err)
	s.check(h.spawnAhead(r.cmd))
	s.rec = r
	s.truth.Recorder = &RecorderTruth{Host: h.name, Flags: flags}
	go r.listen(errs, s.voice(r.said))
}

// ahead is how much less nice the recorder is than its host's programs, as its unit has it
// (packaging/spikeboxd.service): a machine that is busy with other labs is a starved host.
const ahead = 5

// spawnAhead is spawn for the recorder. A process has the niceness of the thread that starts it
// (setpriority(2): on Linux each thread has its own).
func (h *Host) spawnAhead(cmd *exec.Cmd) error {
	nicer := func(by int) error {
		return h.do(func() error {
			now, err := unix.Getpriority(unix.PRIO_PROCESS, 0) // 20 less the niceness: the system call's own
			if err == nil {
				err = unix.Setpriority(unix.PRIO_PROCESS, 0, 20-now+by)
			}
			if err != nil {
				return fmt.Errorf("change niceness: %w", err)
			}
			return nil
		})
	}
	if err := nicer(-ahead); err != nil {
		return err
	}
	return errors.Join(h.spawn(cmd), nicer(ahead))
}

// listen reads the recorder's log, whose event "armed" is the agreed sign. What is no line of it
// says why the recorder has ended.
func (r *recorder) listen(errs io.Reader, voice io.Writer) {
	defer close(r.done)
	told := false
	for sc := bufio.NewScanner(errs); sc.Scan(); {
		fmt.Fprintln(voice, sc.Text())
		var line said
		if json.Unmarshal(sc.Bytes(), &line) != nil {
			continue
		}
		r.heed(time.Now(), line)
		if !told && line.Event == "armed" {
			told = true
			close(r.armed)
		}
	}
	r.err = r.cmd.Wait()
}

// bundleLimit is how long a bundle may take after the incident is made: seconds to the
// trigger, at most 9 s of --after, and the writing, all on a machine that is busy.
const bundleLimit = 2 * time.Minute

// collect waits for the bundle, which it asks for where the incident has no trigger of
// its own, and reads the counters. It leaves the children as they are.
func (s *Stage) collect() {
	defer s.mark("end")
	if s.rec == nil {
		s.Sleep(2 * time.Second) // about what a recorder would go on for
		return
	}
	if s.opt.Armed {
		s.watch()
		return
	}
	if s.truth.Trigger.Signal {
		s.Step("SIGUSR1 to spikeboxd")
		s.check(s.rec.cmd.Process.Signal(syscall.SIGUSR1))
	}
	select {
	case <-s.rec.done:
	case <-s.ctx.Done():
		s.check(s.ctx.Err())
	case <-time.After(bundleLimit):
		s.check(fmt.Errorf("wait for the bundle: none after %v: %s", bundleLimit, s.rec.said))
	}
	s.truth.Recorder.Done = time.Now().UnixNano()
	if s.rec.err != nil {
		s.check(fmt.Errorf("run spikeboxd: %w: %s", s.rec.err, s.rec.said))
	}
	lines := strings.Split(strings.TrimSpace(s.rec.out.String()), "\n")
	bundle := lines[len(lines)-1]
	if _, err := os.Stat(bundle); err != nil {
		s.check(fmt.Errorf("find the bundle that spikeboxd named: %w", err))
	}
	s.truth.Bundle = filepath.Base(bundle)
	s.Step("the bundle is written")
}

// kill ends a recorder that is still there. It gets the time to end properly first.
func (r *recorder) kill() {
	_ = r.cmd.Process.Signal(syscall.SIGTERM) // an error: it has ended
	select {
	case <-r.done:
	case <-time.After(5 * time.Second):
		_ = r.cmd.Process.Kill()
		<-r.done
	}
}
