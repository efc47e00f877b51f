//go:build linux

package probe

import (
	"errors"
	"fmt"
	"io"
	"maps"
	"runtime"
	"slices"
	"time"

	"github.com/cilium/ebpf"
	"golang.org/x/sys/unix"
)

// portion is what a probe has of the programs of a topic.
type portion struct {
	*loaded
	programs []string
	among    map[string]int // by program, how many probes share it; none: it is this one's alone
}

// portions gives a probe's programs that run on other people's events. The iterator over
// listeners is none: it runs within our own system calls.
func (s *Set) portions(id string) (all []portion) {
	add := func(l *loaded) { all = append(all, portion{loaded: l, programs: slices.Sorted(maps.Keys(l.Programs))}) }
	switch p := s.opened[id].(type) {
	case *loaded:
		add(p)
	case *RTT, *States, *Response:
		among := s.tcp.among(id)
		all = append(all, portion{s.tcp.loaded, slices.Sorted(maps.Keys(among)), among})
	case *Softirqs:
		add(p.loaded)
	case *Stacks:
		add(p.loaded)
	case *Echo:
		add(p.loaded)
	case *Functions:
		p.mu.Lock()
		defer p.mu.Unlock()
		for _, l := range p.loaded {
			add(l)
		}
	}
	return all
}

// TimeRuns has the kernel time each run of every eBPF program on the machine until the
// Closer is closed (Linux 5.8; it needs CAP_SYS_ADMIN, kernel/bpf/syscall.c,
// bpf_enable_stats). It takes two readings of the clock a run: some 20 ns more.
func TimeRuns() (io.Closer, error) {
	c, err := ebpf.EnableStats(unix.BPF_STATS_RUN_TIME)
	switch {
	case errors.Is(err, unix.EPERM):
		return nil, errors.New("timing eBPF programs needs CAP_SYS_ADMIN")
	case errors.Is(err, ebpf.ErrNotSupported), errors.Is(err, unix.EINVAL):
		return nil, errors.New("timing eBPF programs needs Linux 5.8")
	case err != nil:
		return nil, fmt.Errorf("time eBPF programs: %w", err)
	}
	return c, nil
}

// RunTime is how long the programs of a probe have run while TimeRuns was in force, with the
// timing itself; of a program that several probes share, an equal part. An empty program shows 35 to 45 ns a run, which is about what its hook takes
// while nobody measures (42 ns in a flood of packets, Linux 6.18): so nothing is taken off.
func (s *Set) RunTime(id string) (total time.Duration, err error) {
	for _, p := range s.portions(id) {
		for _, name := range p.programs {
			st, err := p.Programs[name].Stats()
			if err != nil {
				return 0, fmt.Errorf("read run time of program %s: %w", name, err)
			}
			total += st.Runtime / time.Duration(max(1, p.among[name]))
		}
	}
	return total, nil
}

// interruptWatch is for how long a thread looks how long it is interrupted: ten samples.
const interruptWatch = 10 * time.Millisecond

// interruptCost gives how long a CPU's work stands still for one interrupt, the lower quartile
// of those that come while the caller spins, for longer ones have other work or another
// thread in them: 13 µs in a virtual machine whose timer is the hypervisor's (Firecracker,
// Linux 6.18). It is charged to whatever runs then, and no counter tells it.
func interruptCost() time.Duration {
	// Shorter pauses are caches, and an interrupt takes more.
	const least = 500 * time.Nanosecond
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	var pauses []time.Duration
	last := time.Now()
	for end := last.Add(interruptWatch); last.Before(end); {
		now := time.Now()
		if pause := now.Sub(last); pause > least {
			pauses = append(pauses, pause)
		}
		last = now
	}
	if len(pauses) == 0 {
		return 0
	}
	slices.Sort(pauses)
	return pauses[len(pauses)/4]
}

// ClockTime is what the clocks that sample stacks have taken of every CPU until now.
func (p *Stacks) ClockTime(now time.Time) (total time.Duration) {
	p.mu.Lock()
	defer p.mu.Unlock()
	sampled := p.before
	if p.spans.open() {
		sampled += now.Sub(p.spans[len(p.spans)-1].From)
	}
	return time.Duration(float64(sampled) * float64(p.interrupt) / float64(p.Period))
}
