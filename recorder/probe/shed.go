//go:build linux

package probe

import (
	"fmt"
	"sync/atomic"

	"golang.org/x/sys/unix"
)

// Shed takes an armed probe's programs off, so that they cost nothing, or puts them back. Of
// one that is not armed it does nothing.
func (s *Set) Shed(id string, off bool) error {
	switch p := s.opened[id].(type) {
	case *Echo:
		return p.forbid(off)
	case *Stacks:
		return p.stop(off)
	case *Softirqs:
		if !off {
			p.forget()
		}
	}
	for _, p := range s.portions(id) {
		change := p.attach
		if off {
			change = p.detach
		}
		if err := change(p.programs...); err != nil {
			return fmt.Errorf("shed probe %s: %w", id, err)
		}
	}
	return nil
}

// forbid takes the programs off and keeps them off, whatever Watch asks.
func (e *Echo) forbid(off bool) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.forbidden = off
	if off {
		return e.loaded.detach()
	}
	return nil
}

// forget clears when softirqs began: of one that began before the programs were taken off,
// the next end would make one that ran until now.
func (s *Softirqs) forget() {
	for cpu := range s.cpus.slots {
		for v := range s.cpus.slots[cpu].Start {
			atomic.StoreUint64(&s.cpus.slots[cpu].Start[v], 0)
		}
	}
}

// stop stops the clocks or starts them again.
func (p *Stacks) stop(off bool) error {
	request := uint(unix.PERF_EVENT_IOC_ENABLE)
	if off {
		request = unix.PERF_EVENT_IOC_DISABLE
	}
	for _, fd := range p.clocks {
		if err := unix.IoctlSetInt(fd, request, 0); err != nil {
			return fmt.Errorf("shed probe stacks: %w", err)
		}
	}
	return nil
}
