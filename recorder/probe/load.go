//go:build linux

package probe

import (
	"errors"
	"fmt"
	"maps"
	"os"
	"slices"
	"sync/atomic"
	"unsafe"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/btf"
	"github.com/cilium/ebpf/features"
	"github.com/cilium/ebpf/link"
	"github.com/cilium/ebpf/rlimit"
	"golang.org/x/sys/unix"

	"github.com/spikebox/spikebox/bpf"
)

// loaded is one topic's programs and maps in the kernel. It holds every link, since
// a link that the garbage collector finds is detached.
type loaded struct {
	*ebpf.Collection
	spec  *ebpf.CollectionSpec
	hooks []hook
	links map[string]link.Link // by program
}

// hook is how a program is attached.
type hook struct {
	program string
	attach  func(*ebpf.Program) (link.Link, error)
}

// attachTracing attaches to what the program was loaded for.
func attachTracing(p *ebpf.Program) (link.Link, error) {
	return link.AttachTracing(link.TracingOptions{Program: p})
}

// hub is what topics share while they are loaded.
type hub struct {
	// cache holds the running kernel's types: parsing them takes longer than loading
	// a topic.
	cache *btf.Cache
	// maps are used in place of a topic's own ones of the same name. Without any,
	// events are thrown away.
	maps map[string]*ebpf.Map
}

// alone is the hub of a topic that shares nothing.
func alone() hub { return hub{cache: btf.NewCache()} }

// with returns a hub with one more shared map.
func (h hub) with(name string, m *ebpf.Map) hub {
	h.maps = maps.Clone(h.maps)
	h.maps[name] = m
	return h
}

// sharedWith returns those shared maps that a topic knows.
func (h hub) sharedWith(spec *ebpf.CollectionSpec) map[string]*ebpf.Map {
	common := maps.Clone(h.maps)
	maps.DeleteFunc(common, func(name string, _ *ebpf.Map) bool { return spec.Maps[name] == nil })
	return common
}

// wanted says how to load a topic.
type wanted struct {
	id     string
	spec   *ebpf.CollectionSpec
	vars   map[string]any // constants by their C name
	perCPU []string       // maps with a slot for each CPU
	idle   bool           // the topic attaches its programs itself
}

// load puts the programs into the kernel and attaches those on BTF tracepoints, which
// need no further argument. Nothing stays behind when there is an error.
func load(h hub, w wanted) (*loaded, error) {
	if err := w.prepare(h); err != nil {
		return nil, refuse(w.id, err)
	}
	coll, err := ebpf.NewCollectionWithOptions(w.spec, ebpf.CollectionOptions{
		MapReplacements: h.sharedWith(w.spec), Cache: h.cache})
	if err != nil {
		return nil, refuse(w.id, err)
	}
	l := &loaded{Collection: coll, spec: w.spec, links: map[string]link.Link{}}
	for name := range coll.Programs {
		// Functions, iterators and clocks are attached by their topics.
		if w.spec.Programs[name].AttachType == ebpf.AttachTraceRawTp {
			l.hooks = append(l.hooks, hook{name, attachTracing})
		}
	}
	if w.idle {
		return l, nil
	}
	if err := l.attach(); err != nil {
		l.Close()
		return nil, refuse(w.id, err)
	}
	return l, nil
}

// attach puts the named programs on their hooks, or all where none is named.
func (l *loaded) attach(programs ...string) error {
	for _, h := range l.hooks {
		if l.links[h.program] != nil || len(programs) > 0 && !slices.Contains(programs, h.program) {
			continue
		}
		at, err := h.attach(l.Programs[h.program])
		if err != nil {
			return errors.Join(fmt.Errorf("attach %s: %w", h.program, err), l.detach(programs...))
		}
		l.links[h.program] = at
	}
	return nil
}

// detach takes the named programs off again, or all, and keeps them loaded.
func (l *loaded) detach(programs ...string) error {
	var errs []error
	for name, at := range l.links {
		if len(programs) == 0 || slices.Contains(programs, name) {
			errs = append(errs, at.Close())
			delete(l.links, name)
		}
	}
	return errors.Join(errs...)
}

// prepare fits the topic to this machine: constants, CPUs, and what is missing here.
func (w *wanted) prepare(h hub) error {
	for name, value := range w.vars {
		if err := w.spec.Variables[name].Set(value); err != nil {
			return fmt.Errorf("set constant %s: %w", name, err)
		}
	}
	for _, name := range append(w.perCPU, bpf.StacksMapEventAccount) {
		if w.spec.Maps[name] == nil {
			continue // a topic without events
		}
		if err := perCPU(w.spec, name); err != nil {
			return err
		}
	}
	if ring := w.spec.Maps[bpf.StacksMapEvents]; ring != nil && h.maps == nil {
		ring.MaxEntries = uint32(os.Getpagesize()) // nobody reads it
	}
	if err := h.missing(w.spec); err != nil {
		return err
	}
	return unlockMemory()
}

// unlockMemory lifts RLIMIT_MEMLOCK on kernels before 5.11, which charge maps to it. On
// others it does nothing. It tells them apart by making a map: where bpf(2) is refused, as in
// a user namespace, every kernel looks like an old one, and then that is the reason.
func unlockMemory() error {
	err := rlimit.RemoveMemlock()
	if err == nil || lackingCapabilities() != "" {
		return nil
	}
	version, failed := features.LinuxVersionCode()
	if failed == nil && version >= memcgVersion || !firstUserNamespace() {
		return fmt.Errorf("make a first map: %w", unix.EPERM)
	}
	return errMemlock
}

// memcgVersion is Linux 5.11 as LINUX_VERSION_CODE has it: maps are charged to the cgroup.
const memcgVersion = 5<<16 | 11<<8

// Close detaches and unloads everything.
func (l *loaded) Close() error {
	err := l.detach()
	l.Collection.Close()
	return err
}

// form is a program for a tracepoint that has at least so many arguments.
type form struct {
	args    int
	program string
}

// choose keeps that one of the programs for a tracepoint which fits the running kernel: the
// first whose arguments it has, of forms from the newest to the oldest.
func (h hub) choose(spec *ebpf.CollectionSpec, tracepoint string, forms ...form) (kept string, err error) {
	have, err := h.tracepointArgs(tracepoint)
	if err != nil {
		return "", err
	}
	for i, f := range forms {
		if kept == "" && (have >= f.args || i == len(forms)-1) {
			kept = f.program
			continue
		}
		delete(spec.Programs, f.program)
	}
	return kept, nil
}

// tracepointArgs counts a tracepoint's arguments on the running kernel.
func (h hub) tracepointArgs(tracepoint string) (int, error) {
	kernel, err := kernelTypes(h.cache)
	if err != nil {
		return 0, err
	}
	var def *btf.Typedef
	if err := kernel.TypeByName("btf_trace_"+tracepoint, &def); err != nil {
		return 0, &targetError{"tracepoint", tracepoint}
	}
	pointer, ok := def.Type.(*btf.Pointer)
	if !ok {
		return 0, &targetError{"tracepoint", tracepoint}
	}
	proto, ok := pointer.Target.(*btf.FuncProto)
	if !ok {
		return 0, &targetError{"tracepoint", tracepoint}
	}
	return len(proto.Params) - 1, nil // the first is the tracepoint's own data
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
	// The kernel maps whole pages, and aligns elements to 8 bytes, which all of ours are.
	n := int(m.MaxEntries())
	page := os.Getpagesize()
	size := (n*int(m.ValueSize()) + page - 1) / page * page
	raw, err := unix.Mmap(m.FD(), 0, size, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED)
	if err != nil {
		return nil, fmt.Errorf("map %v into memory: %w", m, err)
	}
	return &shared[T]{unsafe.Slice((*T)(unsafe.Pointer(&raw[0])), n), raw}, nil
}

// Close unmaps the memory; closing twice does nothing. Slots must not be kept.
func (s *shared[T]) Close() error {
	if s.slots == nil {
		return nil
	}
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
