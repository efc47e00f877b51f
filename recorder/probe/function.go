//go:build linux

package probe

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"sync"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/btf"
	"github.com/cilium/ebpf/link"

	"github.com/spikebox/spikebox/bpf"
)

var functionProbe = Probe{
	ID:  "function",
	Doc: "how long tcp_collapse and tcp_prune_ofo_queue take",
	Attach: []string{"fentry+fexit/tcp_collapse", "fentry+fexit/tcp_prune_ofo_queue",
		"or kprobe+kretprobe on each"},
	Needs:   tracing + "; fentry (6.6 for tcp_collapse on x86) or CONFIG_KPROBES",
	Without: "the time of these functions one by one; stacks inside long softirqs still name them",
	open: func(s *Set, _ Options) (c io.Closer, variant string, err error) {
		s.Functions, variant, err = openFunctions(s)
		return s.Functions, variant, err
	},
}

// functionNames are in the order of enum function in bpf/function.bpf.c.
var functionNames = [...]string{"tcp_collapse", "tcp_prune_ofo_queue"}

// Functions is the armed probe of single kernel functions.
type Functions struct {
	mu     sync.Mutex                // of loaded's elements: the meter reads beside whoever sheds
	loaded []*loaded                 // one a function
	again  []func() (*loaded, error) // loads that one anew, see resume
	maps   map[string]*ebpf.Map      // that all functions share
	cpus   *shared[bpf.FunctionFunctions]
	seen   [][len(functionNames)]bpf.SoftirqDurations // by CPU, at the last Read
}

// openFunctions arms each function by fentry and fexit where the kernel takes them,
// else by kprobe and kretprobe. It is an error if none can be armed; variant says how
// each was, and which was not.
func openFunctions(s *Set) (f *Functions, variant string, err error) {
	if f, err = makeFunctions(); err != nil {
		return nil, "", err
	}
	h := s.hub
	for name, m := range f.maps {
		h = h.with(name, m)
	}
	var forms []string
	shared := h.maps // without the kernel's types, which would stay for it
	for _, name := range functionNames {
		form, one, err1 := loadFunction(h, name)
		if err1 != nil {
			err, form = err1, "not" // as a rule, what refuses one refuses all
		} else {
			f.loaded = append(f.loaded, one)
			f.again = append(f.again, func() (*loaded, error) {
				_, one, err := loadFunction(hub{btf.NewCache(), shared}, name)
				return one, err
			})
		}
		forms = append(forms, form+" "+name)
	}
	if len(f.loaded) == 0 {
		return nil, "", errors.Join(err, f.Close())
	}
	return f, strings.Join(forms, ", "), nil
}

// makeFunctions makes the maps that all functions share.
func makeFunctions() (*Functions, error) {
	spec, err := bpf.LoadFunction()
	if err != nil {
		return nil, fmt.Errorf("read embedded probe function: %w", err)
	}
	if err := perCPU(spec, bpf.FunctionMapFunctionCpu); err != nil {
		return nil, err
	}
	// Made apart from the programs, because each function is loaded alone: one that this
	// kernel has inlined away must not cost the others, and all count into one map.
	f := &Functions{maps: map[string]*ebpf.Map{}}
	for _, name := range []string{bpf.FunctionMapFunctionCpu, bpf.FunctionMapFunctionRunning} {
		if f.maps[name], err = ebpf.NewMap(spec.Maps[name]); err != nil {
			return nil, errors.Join(refuse("function", err), f.Close())
		}
	}
	if f.cpus, err = share[bpf.FunctionFunctions](f.maps[bpf.FunctionMapFunctionCpu]); err != nil {
		return nil, errors.Join(refuse("function", err), f.Close())
	}
	f.seen = make([][len(functionNames)]bpf.SoftirqDurations, len(f.cpus.slots))
	return f, nil
}

// loadFunction arms one function by the first form that works.
func loadFunction(h hub, name string) (form string, l *loaded, err error) {
	l, fentry := loadPair(h, "f_"+name, "x_"+name, attachTracing, attachTracing)
	if fentry == nil {
		return "fentry", l, nil
	}
	l, kprobe := loadKprobes(h, name)
	if kprobe == nil {
		return "kprobe", l, nil
	}
	refusal, _ := errors.AsType[*Refusal](kprobe)
	return "", nil, &Refusal{Probe: "function", Cause: refusal.Cause, Err: errors.Join(fentry, kprobe),
		Reason: "fentry: " + Reason(fentry) + "; kprobe: " + Reason(kprobe)}
}

// loadKprobes arms one function by kprobe and kretprobe. Their programs read no
// registers, so that one object serves every architecture.
func loadKprobes(h hub, name string) (*loaded, error) {
	if _, err := os.Stat("/sys/bus/event_source/devices/kprobe"); err != nil {
		return nil, refuse("function", errNoKprobes)
	}
	return loadPair(h, "k_"+name, "r_"+name,
		func(p *ebpf.Program) (link.Link, error) { return link.Kprobe(name, p, nil) },
		func(p *ebpf.Program) (link.Link, error) { return link.Kretprobe(name, p, nil) })
}

// loadPair arms the two programs of a function's beginning and end.
func loadPair(h hub, first, last string,
	begin, end func(*ebpf.Program) (link.Link, error)) (*loaded, error) {
	spec, err := bpf.LoadFunction()
	if err != nil {
		return nil, fmt.Errorf("read embedded probe function: %w", err)
	}
	// The others stay out: one that this kernel refuses would take these two with it.
	for name := range spec.Programs {
		if name != first && name != last {
			delete(spec.Programs, name)
		}
	}
	l, err := load(h, wanted{id: "function", spec: spec, perCPU: []string{bpf.FunctionMapFunctionCpu}})
	if err != nil {
		return nil, err
	}
	// The end first: a beginning without end would be told as one long call.
	l.hooks = []hook{{last, end}, {first, begin}}
	if err := l.attach(); err != nil {
		return nil, errors.Join(refuse("function", err), l.Close())
	}
	return l, nil
}

// Read calls visit for each CPU and function that has returned there since the last
// Read, with how long it took; *d is overwritten afterwards.
func (f *Functions) Read(visit func(cpu int, function string, d *Durations)) error {
	if f.cpus.slots == nil {
		return fmt.Errorf("read probe function: %w", os.ErrClosed)
	}
	var d Durations
	for cpu := range f.cpus.slots {
		for i, name := range functionNames {
			now := &f.cpus.slots[cpu].Function[i]
			if d.sinceLast(&f.seen[cpu][i], (*bpf.SoftirqDurations)(now)) {
				visit(cpu, name, &d)
			}
		}
	}
	return nil
}

// Close disarms the probe.
func (f *Functions) Close() error {
	var errs []error
	for _, l := range f.loaded {
		errs = append(errs, l.Close())
	}
	if f.cpus != nil {
		errs = append(errs, f.cpus.Close())
	}
	for _, m := range f.maps {
		errs = append(errs, m.Close())
	}
	return errors.Join(errs...)
}
