//go:build linux

// Package hook runs the operator's command for each bundle that is on disk, beside the recorder:
// one at a time, with little priority, none of its privileges, and an end.
package hook

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"strings"
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/spikebox/spikebox/format/unit"
	"github.com/spikebox/spikebox/recorder/internal/service"
	"github.com/spikebox/spikebox/recorder/internal/thread"
)

const (
	// waitingMost is how many bundles wait for a command that is slow: more than triggers with
	// their cooldowns write in its timeout.
	waitingMost = 16
	// grace is how long a command has to end by itself when its time is over.
	grace = 5 * time.Second
	// linesMost and lineMost bound what a run may say in the recorder's log: a stack trace,
	// and not a download's progress.
	linesMost = 50
	lineMost  = 1 << 10
)

// Hook runs a command for bundles. A nil Hook runs nothing.
type Hook struct {
	argv    []string
	timeout time.Duration
	home    *os.File // network namespace; nil: that of the recorder
	log     *slog.Logger
	queue   chan map[string]string // variables of each run
	over    chan struct{}          // closed when the last has ended
	last    atomic.Int64           // when all must have ended, Unix ns; 0: not yet known

	runs, failed, dropped atomic.Uint64
}

// Counts is what became of the runs since armed.
type Counts struct {
	Runs, Failed uint64 // ended, and ended badly or not begun
	Dropped      uint64 // not begun, for too many bundles waited
}

// New runs a command, its arguments behind it, each run for at most timeout, and in a network namespace where the recorder is
// in another one; nil where there is no command.
func New(argv []string, timeout time.Duration, home *os.File, log *slog.Logger) *Hook {
	if len(argv) == 0 {
		return nil
	}
	h := &Hook{argv: argv, timeout: timeout, home: home, log: log, queue: make(chan map[string]string, waitingMost), over: make(chan struct{})}
	go func() {
		defer close(h.over)
		for variables := range h.queue {
			h.due(variables)
		}
	}()
	return h
}

// Run has the command run soon, with these variables in its environment. It does not wait.
func (h *Hook) Run(variables map[string]string) {
	if h == nil {
		return
	}
	select {
	case h.queue <- variables:
	default:
		h.drop(variables, fmt.Sprintf("it has not ended for %d bundles before", waitingMost))
	}
}

func (h *Hook) drop(variables map[string]string, why string) {
	h.dropped.Add(1)
	h.tell(slog.LevelWarn, fmt.Sprintf("--on-bundle is not run for %s: %s", variables["SPIKEBOX_BUNDLE"], why))
}

// Counts tells what became of the runs.
func (h *Hook) Counts() (c Counts) {
	if h != nil {
		c = Counts{h.runs.Load(), h.failed.Load(), h.dropped.Load()}
	}
	return c
}

// Close waits for the runs that are due, all together no longer than one may take.
func (h *Hook) Close() {
	if h == nil {
		return
	}
	h.last.Store(time.Now().Add(h.timeout).UnixNano())
	close(h.queue)
	select {
	case <-h.over:
	case <-time.After(h.timeout + 2*grace):
		h.tell(slog.LevelWarn, "--on-bundle: a run cannot be ended")
	}
}

// due runs the command for a bundle, unless the recorder ends and there is no time left for it.
func (h *Hook) due(variables map[string]string) {
	limit := h.timeout
	if last := h.last.Load(); last > 0 {
		limit = min(limit, time.Until(time.Unix(0, last)))
	}
	if limit <= 0 {
		h.drop(variables, "the recorder ends")
		return
	}
	h.run(variables, limit)
}

func (h *Hook) tell(level slog.Level, text string, attrs ...any) {
	h.log.Log(context.Background(), level, text, append([]any{"event", "on_bundle"}, attrs...)...)
}

// run runs the command once, for at most limit, and says how it ended.
func (h *Hook) run(variables map[string]string, limit time.Duration) {
	began := time.Now()
	said := &sayer{say: func(line string) { h.tell(slog.LevelInfo, "--on-bundle says: "+line) }}
	cmd := exec.Command(h.argv[0], h.argv[1:]...)
	// Neither is it the service: its own output is not the journal, nor are the recorder's flags for a spikeboxd that it may run.
	cmd.Env = service.Environ("JOURNAL_STREAM=", "INVOCATION_ID=", "SPIKEBOXD_FLAG_")
	for name, value := range variables {
		cmd.Env = append(cmd.Env, name+"="+strings.ReplaceAll(value, "\x00", "")) // which none can hold
	}
	cmd.Dir = "/"
	cmd.Stdout, cmd.Stderr = said, said
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	// What it leaves in the background may hold its output for ever.
	cmd.WaitDelay = grace
	err := startHumble(cmd, h.home)
	if err == nil {
		err = await(cmd, limit)
	}
	said.end()
	h.runs.Add(1)
	took := time.Since(began)
	if err != nil {
		h.failed.Add(1)
		h.tell(slog.LevelWarn, fmt.Sprintf("--on-bundle: %v, after %s", err, unit.Duration(took)), "error", err.Error())
		return
	}
	h.tell(slog.LevelInfo, "--on-bundle: done in "+unit.Duration(took))
}

// await waits for the end, and brings it about when the time is over.
func await(cmd *exec.Cmd, limit time.Duration) error {
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	select {
	case err := <-ended:
		if errors.Is(err, exec.ErrWaitDelay) { // it left something behind that holds its output
			return nil
		}
		return err
	case <-time.After(limit):
	}
	// Its whole group, which has its number: a shell's children are the ones that take long.
	_ = unix.Kill(-cmd.Process.Pid, unix.SIGTERM)
	kill := time.AfterFunc(grace, func() { _ = unix.Kill(-cmd.Process.Pid, unix.SIGKILL) })
	defer kill.Stop()
	<-ended
	// And those of it that did not heed the first: as long as there are any, the number is theirs.
	_ = unix.Kill(-cmd.Process.Pid, unix.SIGKILL)
	return fmt.Errorf("it did not end within %s, and was ended", unit.Duration(limit))
}

// startHumble starts a command without the recorder's capabilities, which are ambient in its unit, and
// below every other program. All of these are a thread's, and a child has them from the thread
// that starts it (capabilities(7), setpriority(2), ioprio_set(2)): one that ends with this goroutine.
func startHumble(cmd *exec.Cmd, home *os.File) error {
	var err error
	thread.Spend(func() {
		if home != nil {
			if err = unix.Setns(int(home.Fd()), unix.CLONE_NEWNET); err != nil {
				err = fmt.Errorf("return to the own network namespace: %w", err)
				return
			}
		}
		// Where one of them is refused, as by a seccomp filter, the command runs with what is left.
		_ = unix.Prctl(unix.PR_CAP_AMBIENT, unix.PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0)
		_ = unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
		_ = unix.Setpriority(unix.PRIO_PROCESS, 0, lowest)
		_, _, _ = unix.Syscall(unix.SYS_IOPRIO_SET, ioprioWhoProcess, 0, ioprioIdle)
		err = cmd.Start()
	})
	if err != nil {
		return err
	}
	// Before its recorder, and before most of the host: that is what it does without.
	_ = os.WriteFile(fmt.Sprintf("/proc/%d/oom_score_adj", cmd.Process.Pid), []byte("500"), 0)
	return nil
}

const (
	lowest           = 19      // of setpriority(2)
	ioprioWhoProcess = 1       // linux/ioprio.h
	ioprioIdle       = 3 << 13 // IOPRIO_CLASS_IDLE
)

// sayer makes lines of what a command writes, and forgets what is too much.
type sayer struct {
	say   func(line string)
	begun []byte // of a line
	lines int
}

// Write takes a piece of it.
func (s *sayer) Write(p []byte) (int, error) {
	for rest := p; len(rest) > 0; {
		line, after, ends := bytes.Cut(rest, []byte("\n"))
		s.begun = append(s.begun, line[:min(len(line), lineMost-len(s.begun))]...)
		if ends {
			s.end()
		}
		rest = after
	}
	return len(p), nil
}

// end ends a line that was begun.
func (s *sayer) end() {
	if len(s.begun) == 0 {
		return
	}
	switch s.lines++; {
	case s.lines <= linesMost:
		s.say(string(s.begun))
	case s.lines == linesMost+1:
		s.say(fmt.Sprintf("more than %d lines, which are not in this log", linesMost))
	}
	s.begun = s.begun[:0]
}
