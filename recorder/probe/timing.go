//go:build linux

package probe

import (
	"errors"
	"fmt"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"

	"github.com/spikebox/spikebox/bpf"
)

const (
	// fewRuns a second and CPU are timed as they come: two runs of programs each, 0.2 µs, make 0.02 %
	// of the CPU. A machine where nothing happens has some hundred.
	fewRuns = 1000
	// timingRest is how long a machine with more is left alone between two looks at what is usual.
	timingRest = 10 * time.Second
)

// timing is when runs are timed: by programs at the begin and end of each, which is more than
// all others together do where there are hundreds of thousands a second.
type timing struct {
	hooks     sync.Mutex // of what is attached: the meter watches beside whoever sheds, and both may hang
	always    bool       // no tick would find what is long
	forbidden bool
	cpus      int
	ran       uint64 // runs that were timed since the last Watch
	watched   time.Time

	mu    sync.Mutex // of what follows, which the recorder's loop asks for: the kernel does nothing meanwhile
	spans spans      // changed with hooks held, too
	until time.Time  // see Until
}

// timers are the programs that time runs. The end is attached first and taken off last: so each run that is
// seen to begin is seen to end, but for those that go on when the timing ends.
var timers = []string{bpf.SoftirqProgSoftirqEnd, bpf.SoftirqProgSoftirqBegin}

// Watch is called after each Read, with whether somebody wants all runs timed. Where nobody does they are while
// there are few; where there are many, from one Watch to the next every 10 s, so that it is known what is usual.
// To begin and to end takes 0.4 ms of CPU each.
func (s *Softirqs) Watch(now time.Time, wanted bool) error {
	t := &s.timing
	t.hooks.Lock()
	defer t.hooks.Unlock()
	t.mu.Lock()
	until := t.until
	t.mu.Unlock()
	ran, took := t.ran, now.Sub(t.watched)
	t.ran, t.watched = 0, now
	on := t.spans.open()
	switch {
	case wanted || t.always || now.Before(until):
		on = true
	case on && took > 0:
		on = float64(ran) <= fewRuns*took.Seconds()*float64(t.cpus)
	case len(t.spans) == 0 || now.Sub(t.spans[len(t.spans)-1].To) >= timingRest:
		on = true
	}
	return t.set(s, (on || t.spans.open() && s.longGoesOn()) && !t.forbidden)
}

// longGoesOn says whether a run that is timed has lasted for a millisecond: its end would not be seen
// if the timing ended now, and perhaps no tick comes by any more.
func (s *Softirqs) longGoesOn() bool {
	var now unix.Timespec
	if unix.ClockGettime(unix.CLOCK_MONOTONIC, &now) != nil {
		return false
	}
	for cpu := range s.cpus.slots {
		for v := range Vectors {
			start := atomic.LoadUint64(&s.cpus.slots[cpu].Start[v])
			if start != 0 && now.Nano()-int64(start) > time.Millisecond.Nanoseconds() {
				return true
			}
		}
	}
	return false
}

// Until has all runs timed from the next Watch until then, as while an incident is recorded.
func (s *Softirqs) Until(end time.Time) {
	s.timing.mu.Lock()
	defer s.timing.mu.Unlock()
	s.timing.until = end
}

// Timed gives the spans in which all runs were timed that a window has a part of.
func (s *Softirqs) Timed(start, end time.Time) []Span {
	s.timing.mu.Lock()
	defer s.timing.mu.Unlock()
	return s.timing.spans.within(start, end)
}

// TimedFor is how much of a window that was.
func (s *Softirqs) TimedFor(start, end time.Time) time.Duration {
	s.timing.mu.Lock()
	defer s.timing.mu.Unlock()
	return s.timing.spans.overlap(start, end)
}

// forbid takes all programs off and keeps them off, whatever Watch asks; or puts them back.
func (s *Softirqs) forbid(off bool) error {
	t := &s.timing
	t.hooks.Lock()
	defer t.hooks.Unlock()
	t.forbidden = off
	if off {
		return errors.Join(t.set(s, false), s.loaded.detach())
	}
	var err error
	if !t.always {
		err = s.loaded.attach(bpf.SoftirqProgSoftirqTick)
	}
	return errors.Join(err, t.set(s, true))
}

// set attaches what times runs, or takes it off. What is said to be running is believed by the
// other programs in between only.
func (t *timing) set(s *Softirqs, on bool) error {
	switch {
	case on == t.spans.open():
		return nil
	case on:
		s.believe(0)
		for cpu := range s.cpus.slots { // what went on when the last timing ended
			for v := range s.cpus.slots[cpu].Start {
				atomic.StoreUint64(&s.cpus.slots[cpu].Start[v], 0)
			}
		}
		for _, program := range timers {
			if err := s.loaded.attach(program); err != nil {
				return fmt.Errorf("time softirqs: %w", errors.Join(err, s.loaded.detach(timers...)))
			}
		}
		s.believe(1)
		t.note(func() { t.spans.begin(time.Now()) })
		return nil
	}
	s.believe(0)
	t.note(func() { t.spans.end(time.Now()) })
	return errors.Join(s.loaded.detach(timers[1]), s.loaded.detach(timers[0]))
}

// note changes the spans.
func (t *timing) note(change func()) {
	t.mu.Lock()
	defer t.mu.Unlock()
	change()
}

// believe says to the other programs whether what is said to be running is.
func (s *Softirqs) believe(timed uint64) {
	for cpu := range s.cpus.slots {
		atomic.StoreUint64(&s.cpus.slots[cpu].Timed, timed)
	}
}

// errNoTick: without high-resolution timers the tick is no timer, but an interrupt of its own.
var errNoTick = errors.New("no high-resolution timer runs the kernel's tick")

// tickWithin is much longer than the slowest tick, 10 ms at 100 Hz, for a virtual machine whose
// host has other things to do.
const tickWithin = 300 * time.Millisecond

// lookForTicks keeps a CPU busy until its tick has come by, most often some milliseconds.
func (s *Softirqs) lookForTicks() error {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	for end := time.Now().Add(tickWithin); time.Now().Before(end); {
		for cpu := range s.cpus.slots {
			if atomic.LoadUint64(&s.cpus.slots[cpu].Looks) > 0 {
				return nil
			}
		}
	}
	return errNoTick
}
