//go:build linux

package probe

import (
	"errors"
	"fmt"
	"os"
	"sync/atomic"
	"unsafe"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/link"
	"github.com/cilium/ebpf/rlimit"
	"golang.org/x/sys/unix"
)

// loaded is one topic's programs and maps in the kernel. It holds every link, since
// a link that the garbage collector finds is detached.
type loaded struct {
	*ebpf.Collection
	links []link.Link
}

// load puts spec's programs into the kernel and attaches those that need no further
// argument: BTF tracepoints and functions. vars sets constants by their C name.
// What id stands for is in the error; nothing stays behind when there is one.
func load(id string, spec *ebpf.CollectionSpec, vars map[string]any) (*loaded, error) {
	for name, value := range vars {
		if err := spec.Variables[name].Set(value); err != nil {
			return nil, fmt.Errorf("set constant %s of probe %s: %w", name, id, err)
		}
	}
	if err := missing(spec); err != nil {
		return nil, refuse(id, err)
	}
	// Kernels before 5.11 charge maps to RLIMIT_MEMLOCK; on others this does nothing,
	// but without CAP_BPF it cannot tell them apart.
	if err := rlimit.RemoveMemlock(); err != nil && lackingCapabilities() == "" {
		return nil, refuse(id, errMemlock)
	}
	coll, err := ebpf.NewCollection(spec)
	if err != nil {
		return nil, refuse(id, err)
	}
	l := &loaded{Collection: coll}
	for name, prog := range coll.Programs {
		if spec.Programs[name].AttachType != ebpf.AttachTraceRawTp {
			continue
		}
		at, err := link.AttachTracing(link.TracingOptions{Program: prog})
		if err != nil {
			l.Close()
			return nil, refuse(id, fmt.Errorf("attach %s: %w", name, err))
		}
		l.links = append(l.links, at)
	}
	return l, nil
}

// Close detaches and unloads everything.
func (l *loaded) Close() error {
	var errs []error
	for _, at := range l.links {
		errs = append(errs, at.Close())
	}
	l.links = nil
	l.Collection.Close()
	return errors.Join(errs...)
}

// perCPU gives the map named name a slot for each CPU that may ever come up, so that
// its programs index it by CPU number.
func perCPU(spec *ebpf.CollectionSpec, name string) error {
	n, err := ebpf.PossibleCPU()
	if err != nil {
		return fmt.Errorf("count possible CPUs: %w", err)
	}
	spec.Maps[name].MaxEntries = uint32(n)
	return nil
}

// shared is a BPF array in this process's memory: reading it costs no system call.
// Programs write while it is read, so elements are loaded and swapped atomically.
type shared[T any] struct {
	slots []T
	raw   []byte
}

// share maps m, an array with BPF_F_MMAPABLE whose values are of type T.
func share[T any](m *ebpf.Map) (*shared[T], error) {
	var t T
	if m.ValueSize() != uint32(unsafe.Sizeof(t)) {
		return nil, fmt.Errorf("map %v: values of %d bytes in C, %d in Go", m, m.ValueSize(), unsafe.Sizeof(t))
	}
	n := int(m.MaxEntries())
	page := os.Getpagesize()
	size := (n*int(m.ValueSize()) + page - 1) / page * page
	raw, err := unix.Mmap(m.FD(), 0, size, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED)
	if err != nil {
		return nil, fmt.Errorf("map %v into memory: %w", m, err)
	}
	return &shared[T]{unsafe.Slice((*T)(unsafe.Pointer(&raw[0])), n), raw}, nil
}

// Close unmaps the memory. Its slots must not be touched afterwards.
func (s *shared[T]) Close() error {
	s.slots = nil
	return unix.Munmap(s.raw)
}

// take swaps *p, which a program only ever raises, for 0.
func take(p *uint64) uint64 { return atomic.SwapUint64(p, 0) }

// since returns how far a growing counter has come since *seen, and moves *seen.
func since(seen *uint64, now uint64) uint64 {
	d := now - *seen
	*seen = now
	return d
}
