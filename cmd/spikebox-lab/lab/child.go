//go:build linux

package lab

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"slices"
	"sync"
	"syscall"
	"time"

	"github.com/spikebox/spikebox/cmd/spikebox-lab/actor"
)

// ActorCommand is the hidden subcommand under which the lab's binary becomes an actor.
const ActorCommand = "actor"

// Child is an actor's process.
type Child struct {
	name  string
	cmd   *exec.Cmd
	in    io.WriteCloser
	ready chan string
	over  chan struct{} // it has said that its work is done
	done  chan struct{} // its output has ended and it is reaped
	err   error         // how it ended; valid after done
	// foreign is a program that is none of the lab's actors, and takes no commands.
	foreign bool
}

// Act starts an actor on a host, tells it its parameters and waits until it is ready.
func (s *Stage) Act(h *Host, kind, comm string, params any) *Child {
	c := &Child{name: comm, ready: make(chan string, 1), over: make(chan struct{}), done: make(chan struct{})}
	c.cmd = exec.Command("/proc/self/exe", ActorCommand, kind)
	c.cmd.Args[0] = comm // what its command line shows
	said := &tail{}
	c.cmd.Stderr = s.voice(said)
	s.check(c.start(h, func(e actor.Event) { s.hear(c, e) }, said))
	s.cast = append(s.cast, c)
	line, err := json.Marshal(params)
	s.check(err)
	c.Tell("%s", line)
	select {
	case <-c.ready:
	case <-c.done:
		s.check(fmt.Errorf("start %s: %w", comm, c.err))
	case <-s.ctx.Done():
		s.check(s.ctx.Err())
	}
	return c
}

// start starts the process on the host's thread and reads its events in the background.
func (c *Child) start(h *Host, hear func(actor.Event), said *tail) error {
	var err error
	if c.in, err = c.cmd.StdinPipe(); err != nil {
		return err
	}
	out, err := c.cmd.StdoutPipe()
	if err != nil {
		return err
	}
	if err := h.spawn(c.cmd); err != nil {
		return err
	}
	go func() {
		// Reaped only after its output has ended: Wait closes the pipe, and what the
		// child still had to tell would be lost.
		defer close(c.done)
		for sc := bufio.NewScanner(out); sc.Scan(); {
			var e actor.Event
			if json.Unmarshal(sc.Bytes(), &e) == nil {
				hear(e)
			}
		}
		if c.err = c.cmd.Wait(); c.err != nil {
			c.err = fmt.Errorf("%w: %s", c.err, said)
		}
	}()
	return nil
}

// spawn starts a process on the host. It dies with the host's thread, and a ^C at the
// terminal reaches the lab alone.
func (h *Host) spawn(cmd *exec.Cmd) error {
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL, Setpgid: true}
	return h.do(func() error {
		if err := cmd.Start(); err != nil {
			return fmt.Errorf("start %s: %w", cmd.Args[0], err)
		}
		return nil
	})
}

// hear takes an event into the truth.
func (s *Stage) hear(c *Child, e actor.Event) {
	switch e.Kind {
	case "ready":
		c.ready <- e.Text
	case "done":
		close(c.over)
	case "flow":
		s.truth.flow(e.Flow)
	case "sample":
		s.truth.sample(e)
	case "note":
		s.truth.stepAt(e.Time, c.name+": "+e.Text)
	}
}

// Tell writes a command, as the actor's own file lists them. One to a child that is gone
// is not an error: the child's end is reported where it matters.
func (c *Child) Tell(format string, a ...any) {
	if c.foreign {
		panic(failure{fmt.Errorf("tell %s %q: it takes no commands: %w", c.name, fmt.Sprintf(format, a...), errVariant)})
	}
	fmt.Fprintf(c.in, format+"\n", a...)
}

// Finish waits until a child says that its work is done, for at most limit.
func (s *Stage) Finish(c *Child, limit time.Duration) {
	select {
	case <-c.over:
	case <-c.done:
		s.check(fmt.Errorf("wait for %s: it ended: %w", c.name, c.err))
	case <-s.ctx.Done():
		s.check(s.ctx.Err())
	case <-time.After(limit):
		s.check(fmt.Errorf("wait for %s: not done after %v", c.name, limit))
	}
}

// leave asks the children to end, one after another, and waits for their last events. The
// last come leaves first: a client before its server, or its connections would end by
// reset.
func (s *Stage) leave() {
	s.release()
	for _, c := range s.cast {
		_ = c.cmd.Process.Signal(syscall.SIGCONT) // a frozen one would not hear of it; an error: it has left
	}
	for _, c := range slices.Backward(s.cast) {
		if c.foreign {
			c.end()
			continue
		}
		c.Tell("stop")
		select {
		case <-c.done:
			s.check(c.err)
		case <-time.After(30 * time.Second):
			s.check(fmt.Errorf("stop %s: still there after 30 s", c.name))
		}
	}
}

// Crash kills a child as a part of the incident: its listeners are gone, and the kernel
// closes its connections.
func (s *Stage) Crash(c *Child) {
	c.kill()
	s.cast = slices.DeleteFunc(s.cast, func(o *Child) bool { return o == c }) // nobody for leave to wait for
	for i := range s.truth.Listeners {
		if s.truth.Listeners[i].PID == c.cmd.Process.Pid {
			s.truth.Listeners[i].Gone = true
		}
	}
}

// Freeze stops a child where it stands, as SIGSTOP, a debugger or a full cgroup freezer do:
// the kernel goes on to answer for it until its queues are full. It stays so until the bundle is
// written.
func (s *Stage) Freeze(c *Child) { s.check(c.cmd.Process.Signal(syscall.SIGSTOP)) }

// kill ends a child that has not left.
func (c *Child) kill() {
	_ = c.cmd.Process.Kill() // an error: it has left
	<-c.done
}

// voice is where a child's own words go: to t, and with --verbose to the terminal.
func (s *Stage) voice(t *tail) io.Writer {
	if s.opt.Verbose {
		return io.MultiWriter(os.Stderr, t)
	}
	return t
}

// tail is a writer that keeps the last 2 KiB, for the error message of a child that
// ended badly.
type tail struct {
	mu  sync.Mutex
	buf []byte
}

// Write never fails: what is too old is forgotten.
func (t *tail) Write(p []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.buf = append(t.buf, p...)
	t.buf = t.buf[max(0, len(t.buf)-2<<10):]
	return len(p), nil
}

// String is what is kept, without white space around it.
func (t *tail) String() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return string(bytes.TrimSpace(t.buf))
}
