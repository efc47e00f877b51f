//go:build linux

package probe

import (
	"errors"
	"fmt"
	"slices"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"
)

// Span is a time in which stacks were sampled; To is zero while they are.
type Span struct{ From, To time.Time }

// spansKept of sampling is more than a window holds: sampling goes on for a minute at least.
const spansKept = 64

// What bpf/duration.h calls UNTIMED, FOUND and HALF.
const (
	startUntimed = 1
	startFound   = 1
	startEarlier = 500 * time.Microsecond
)

// Watch starts the clocks, or stops them: their interrupts are the most that an idle recorder
// costs, 13 µs each in a virtual machine (interruptCost). Asked again for what is, it does
// nothing. Runs of softirqs are all counted meanwhile, each once, and long ones timed.
func (p *Stacks) Watch(on bool) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.wanted = on
	return p.sample(on && !p.forbidden)
}

// forbid stops the clocks and keeps them off, whatever Watch asks; or no longer.
func (p *Stacks) forbid(off bool) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.forbidden = off
	return p.sample(p.wanted && !off)
}

// Wanted says whether the clocks run, or would if they were not forbidden.
func (p *Stacks) Wanted() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.wanted
}

// Sampled gives the spans of sampling that a window has a part of.
func (p *Stacks) Sampled(start, end time.Time) (all []Span) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, s := range p.spans {
		if !s.From.After(end) && (s.To.IsZero() || !s.To.Before(start)) {
			all = append(all, s)
		}
	}
	return all
}

// sampling is the span that goes on; nil: the clocks stand.
func (p *Stacks) sampling() *Span {
	if n := len(p.spans); n > 0 && p.spans[n-1].To.IsZero() {
		return &p.spans[n-1]
	}
	return nil
}

// sample starts or stops the clocks. That they run is told to the programs after the start,
// and that they stand before the end.
func (p *Stacks) sample(on bool) error {
	now := p.sampling()
	switch {
	case on == (now != nil):
		return nil
	case on:
		if err := p.ask(unix.PERF_EVENT_IOC_ENABLE); err != nil {
			return errors.Join(err, p.ask(unix.PERF_EVENT_IOC_DISABLE))
		}
		p.tell(1)
		p.spans = append(p.spans, Span{From: time.Now()})
		p.spans = slices.Delete(p.spans, 0, max(0, len(p.spans)-spansKept))
		return nil
	}
	p.tell(0)
	err := p.ask(unix.PERF_EVENT_IOC_DISABLE)
	p.lookLast()
	now.To = time.Now()
	p.before += now.To.Sub(now.From)
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

// tell says to the programs of softirqs whether the clocks run.
func (p *Stacks) tell(sampled uint64) {
	for cpu := range p.softirqs.cpus.slots {
		atomic.StoreUint64(&p.softirqs.cpus.slots[cpu].Sampled, sampled)
	}
}

// lookLast sets the beginning of runs that were not timed and that no clock has found, as the
// clocks would have: else one that stays long would be taken for a brief one. Each CPU has
// been interrupted since tell, so that none of them begins to be untimed any more.
func (p *Stacks) lookLast() {
	var now unix.Timespec
	if unix.ClockGettime(unix.CLOCK_MONOTONIC, &now) != nil {
		return
	}
	found := uint64(now.Nano()-startEarlier.Nanoseconds()) | startFound
	for cpu := range p.softirqs.cpus.slots {
		for v := range Vectors {
			atomic.CompareAndSwapUint64(&p.softirqs.cpus.slots[cpu].Start[v], startUntimed, found)
		}
	}
}
