//go:build linux

package probe

import (
	"errors"
	"fmt"

	"golang.org/x/sys/unix"
)

// Shed takes an armed probe's programs off, so that they cost nothing, or puts them back. Of
// one that is not armed it does nothing.
func (s *Set) Shed(id string, off bool) error {
	switch p := s.opened[id].(type) {
	case *RTT, *States, *Response:
		if err := s.tcp.arm(id, !off); err != nil {
			return fmt.Errorf("shed probe %s: %w", id, err)
		}
		return nil
	case *Echo:
		return p.forbid(off)
	case *Stacks:
		return p.forbid(off)
	case *Functions:
		if !off {
			return p.resume()
		}
	case *Softirqs:
		return p.forbid(off)
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

// resume attaches each function's programs again. Before 5.13 the kernel takes those of fentry
// once only (kernel/bpf/syscall.c, bpf_tracing_prog_attach): they are loaded anew there.
func (f *Functions) resume() error {
	for i, l := range f.loaded {
		err := l.attach()
		if errors.Is(err, unix.ENOENT) {
			if l, err = f.again[i](); err == nil {
				f.loaded[i].Close()
				f.mu.Lock()
				f.loaded[i] = l
				f.mu.Unlock()
			}
		}
		if err != nil {
			return fmt.Errorf("shed probe function: %w", err)
		}
	}
	return nil
}
