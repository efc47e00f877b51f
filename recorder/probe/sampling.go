//go:build linux

package probe

import (
	"errors"
	"fmt"
	"time"

	"golang.org/x/sys/unix"
)

// Watch starts the clocks, or stops them: their interrupts are the most that an idle recorder
// costs, 13 µs each in a virtual machine (interruptCost). Asked again for what is, it does
// nothing. They look at softirqs that are timed, so Softirqs.Watch is asked for the same.
func (p *Stacks) Watch(on bool) error {
	p.hooks.Lock()
	defer p.hooks.Unlock()
	p.note(func() { p.wanted = on })
	return p.sample(on && !p.forbidden)
}

// forbid stops the clocks and keeps them off, whatever Watch asks; or no longer.
func (p *Stacks) forbid(off bool) error {
	p.hooks.Lock()
	defer p.hooks.Unlock()
	p.forbidden = off
	return p.sample(p.wanted && !off)
}

// note changes what the recorder's loop asks for.
func (p *Stacks) note(change func()) {
	p.mu.Lock()
	defer p.mu.Unlock()
	change()
}

// Wanted says whether the clocks run, or would if they were not forbidden.
func (p *Stacks) Wanted() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.wanted
}

// Sampled gives the spans of sampling that a window has a part of.
func (p *Stacks) Sampled(start, end time.Time) []Span {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.spans.within(start, end)
}

// sample starts or stops the clocks.
func (p *Stacks) sample(on bool) error {
	switch {
	case on == p.spans.open():
		return nil
	case on:
		// Before the first clock runs: on a busy machine others may run between that and the last, and what is sampled
		// meanwhile lay in no span.
		from := time.Now()
		if err := p.ask(unix.PERF_EVENT_IOC_ENABLE); err != nil {
			return errors.Join(err, p.ask(unix.PERF_EVENT_IOC_DISABLE))
		}
		p.note(func() { p.spans.begin(from) })
		return nil
	}
	err := p.ask(unix.PERF_EVENT_IOC_DISABLE)
	p.note(func() { p.before += p.spans.end(time.Now()) })
	return err
}

// ask has all clocks started or stopped. The kernel interrupts each clock's CPU for it, and
// comes back when that has done it (kernel/events/core.c, event_function_call).
func (p *Stacks) ask(request uint) error {
	for _, fd := range p.clocks {
		if err := unix.IoctlSetInt(fd, request, 0); err != nil {
			return fmt.Errorf("start or stop the clocks of probe stacks: %w", err)
		}
	}
	return nil
}
