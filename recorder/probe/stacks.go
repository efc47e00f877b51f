//go:build linux

package probe

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"github.com/spikebox/spikebox/bpf"
)

var stacksProbe = Probe{
	ID:      "stacks",
	Doc:     "the kernel's stack inside softirqs that run too long, sampled by a clock on each CPU for a minute after a long one, and before that with the ticks of probe softirq; as events",
	Attach:  []string{"perf_event/cpu-clock"},
	Needs:   tracing + "; probe softirq; CONFIG_PERF_EVENTS",
	Without: "the name of the function that a stall is spent in, where function probes are refused too",
	open: func(s *Set, o Options) (c io.Closer, variant string, err error) {
		if s.Softirqs == nil {
			return nil, "", &Refusal{Probe: "stacks", Cause: Kernel, Reason: "probe softirq is not armed, whose times it needs"}
		}
		s.Stacks, err = openStacks(o, s)
		return s.Stacks, fmt.Sprintf("cpu-clock each %v", o.stackPeriod()), err
	},
}

// stackPeriod is a prime of microseconds by default, so that the clocks drift against
// the kernel's own timers.
func (o Options) stackPeriod() time.Duration {
	if o.StackPeriod > 0 {
		return o.StackPeriod
	}
	return 997 * time.Microsecond
}

// Stacks is the armed stack sampler. Its samples are events of kind Stack.
type Stacks struct {
	loaded *loaded
	clocks []int // perf event file descriptors, one a CPU
	// Period is the time between two samples of a CPU, for profiles.
	Period    time.Duration
	interrupt time.Duration // what one look takes, with the interrupt that it needs

	hooks     sync.Mutex // of the clocks: the meter watches beside whoever sheds, and both may hang
	forbidden bool

	mu     sync.Mutex    // of what follows, which the recorder's loop asks for: the kernel does nothing meanwhile
	wanted bool          // by Watch; changed with hooks held, too, as what follows is
	spans  spans         // of sampling
	before time.Duration // all spans but the one that goes on
}

// openStacks makes a clock for each CPU that is online now; CPUs that come up later are
// not sampled.
func openStacks(o Options, s *Set) (*Stacks, error) {
	spec, err := bpf.LoadStacks()
	if err != nil {
		return nil, fmt.Errorf("read embedded probe stacks: %w", err)
	}
	vars := map[string]any{}
	if o.StackAge > 0 {
		vars[bpf.StacksVarMinAge] = uint64(o.StackAge)
	}
	// The map of the probe of softirqs is shared, not read: the sampler asks it, within the
	// interrupt, for how long the softirq that it has interrupted has run.
	h := s.hub.with(bpf.StacksMapSoftirqCpu, s.Softirqs.loaded.Maps[bpf.SoftirqMapSoftirqCpu])
	l, err := load(h, wanted{id: "stacks", spec: spec, vars: vars, perCPU: []string{bpf.StacksMapSoftirqCpu}})
	if err != nil {
		return nil, err
	}
	p := &Stacks{loaded: l, Period: o.stackPeriod()}
	cpus, err := onlineCPUs()
	if err != nil {
		return nil, errors.Join(refuse("stacks", err), p.Close())
	}
	for _, cpu := range cpus {
		if err := p.clock(cpu); err != nil {
			return nil, errors.Join(refuse("stacks", err), p.Close())
		}
	}
	p.interrupt = interruptCost()
	// The programs come when the clocks stand: what they sample lies in a span of sampling (Watch), and not before the first.
	if err := errors.Join(p.ask(unix.PERF_EVENT_IOC_DISABLE), p.attach()); err != nil {
		return nil, errors.Join(refuse("stacks", err), p.Close())
	}
	return p, nil
}

// clock starts a clock of one CPU; closing the descriptor stops it.
func (p *Stacks) clock(cpu int) error {
	attr := unix.PerfEventAttr{
		Type:   unix.PERF_TYPE_SOFTWARE,
		Config: unix.PERF_COUNT_SW_CPU_CLOCK,
		Size:   unix.PERF_ATTR_SIZE_VER0,
		Sample: uint64(p.Period), // ns
	}
	fd, err := unix.PerfEventOpen(&attr, -1, cpu, -1, unix.PERF_FLAG_FD_CLOEXEC)
	if err != nil {
		return fmt.Errorf("open cpu-clock of CPU %d: %w", cpu, &clockError{err})
	}
	p.clocks = append(p.clocks, fd)
	return nil
}

// attach has the clocks' interrupts run the sampler. It uses the ioctl, since links to perf events came with
// 5.15 only.
func (p *Stacks) attach() error {
	prog := p.loaded.Programs[bpf.StacksProgStackSample]
	for _, fd := range p.clocks {
		if err := unix.IoctlSetInt(fd, unix.PERF_EVENT_IOC_SET_BPF, prog.FD()); err != nil {
			return fmt.Errorf("attach to a cpu-clock: %w", err)
		}
	}
	return nil
}

// Close stops sampling.
func (p *Stacks) Close() error {
	var errs []error
	for _, fd := range p.clocks {
		errs = append(errs, unix.Close(fd))
	}
	p.clocks = nil
	return errors.Join(append(errs, p.loaded.Close())...)
}

// onlineCPUs lists the CPUs that run now.
func onlineCPUs() ([]int, error) {
	list, err := os.ReadFile("/sys/devices/system/cpu/online")
	if err != nil {
		return nil, fmt.Errorf("list online CPUs: %w", err)
	}
	return parseCPUs(strings.TrimSpace(string(list)))
}

// parseCPUs reads a list of CPUs as the kernel writes it: 0-3,8.
func parseCPUs(list string) (cpus []int, err error) {
	for span := range strings.SplitSeq(list, ",") {
		low, high, isRange := strings.Cut(span, "-")
		if !isRange {
			high = low
		}
		first, err1 := strconv.Atoi(low)
		last, err2 := strconv.Atoi(high)
		if err1 != nil || err2 != nil || first < 0 || last >= 1<<16 {
			return nil, fmt.Errorf("parse CPU list %q: bad span %q", list, span)
		}
		for ; first <= last; first++ {
			cpus = append(cpus, first)
		}
	}
	return cpus, nil
}
