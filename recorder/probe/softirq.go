//go:build linux

package probe

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"sync/atomic"
	"time"

	"github.com/spikebox/spikebox/bpf"
)

var softirqProbe = Probe{
	ID:      "softirq",
	Doc:     "how long each run of each softirq vector takes, per CPU, at times; long ones as events, always",
	Attach:  []string{"tp_btf/hrtimer_expire_entry", "tp_btf/softirq_entry", "tp_btf/softirq_exit"},
	Needs:   tracing,
	Without: "stalls of a CPU's network work; /proc/softirqs and softnet_stat count runs, not their length",
	open: func(s *Set, o Options) (c io.Closer, variant string, err error) {
		s.Softirqs, variant, err = openSoftirqs(s.hub, o)
		return s.Softirqs, variant, err
	},
}

// Vectors is the number of softirq vectors.
const Vectors = 10

// vectorNames are softirq_to_name of kernel/softirq.c, the same since 4.2.
var vectorNames = [Vectors]string{
	"HI", "TIMER", "NET_TX", "NET_RX", "BLOCK", "IRQ_POLL", "TASKLET", "SCHED", "HRTIMER", "RCU",
}

// VectorName returns a softirq vector's name as in /proc/softirqs; unknown for anything else, as
// for one whose stack is too deep to tell.
func VectorName(vector int) string {
	if vector < 0 || vector >= Vectors {
		return "unknown"
	}
	return vectorNames[vector]
}

// NetRX is the vector that receives packets.
const NetRX = 3

// Softirqs is the armed probe of softirqs. The timer's ticks find those that keep a CPU from one
// tick to the next; how long each run takes is known while runs are timed, see Watch.
type Softirqs struct {
	// Long is from which duration on a run is an event.
	Long   time.Duration
	loaded *loaded
	cpus   *shared[bpf.SoftirqSoftirqs]
	seen   [][Vectors]bpf.SoftirqDurations // by CPU, at the last Read
	told   Durations                       // of the visit that goes on
	timing timing
}

// openSoftirqs arms the probe for the whole machine, with all runs timed at first.
func openSoftirqs(h hub, o Options) (s *Softirqs, variant string, err error) {
	s = &Softirqs{Long: cmp.Or(o.LongSoftirq, 2*time.Millisecond)}
	unmet := s.load(h, o, true)
	if unmet != nil {
		if err := s.load(h, o, false); err != nil {
			return nil, "", err
		}
	}
	if unmet == nil {
		if unmet = s.lookForTicks(); unmet == nil {
			variant = "the timer's ticks look for long ones; all are timed at times"
		}
	}
	if unmet != nil {
		s.timing.always = true
		variant = "all are timed: the timer's ticks cannot look for long ones: " + Reason(unmet)
		err = s.loaded.detach(bpf.SoftirqProgSoftirqTick)
	}
	cpus, online := onlineCPUs()
	s.timing.cpus, s.timing.watched = len(cpus), time.Now()
	if err := errors.Join(err, online, s.timing.set(s, true)); err != nil {
		return nil, "", errors.Join(refuse("softirq", err), s.Close())
	}
	return s, variant, nil
}

// load loads the programs, with the one at the timer's ticks or without, and attaches that.
func (s *Softirqs) load(h hub, o Options, ticks bool) error {
	spec, err := bpf.LoadSoftirq()
	if err != nil {
		return fmt.Errorf("read embedded probe softirq: %w", err)
	}
	vars := map[string]any{bpf.SoftirqVarLongSoftirq: uint64(s.Long)}
	if o.StackAge > 0 {
		vars[bpf.SoftirqVarMinAge] = uint64(o.StackAge)
	}
	if ticks {
		known, err := h.ticks()
		if err != nil {
			return err
		}
		maps.Copy(vars, known)
	} else {
		delete(spec.Programs, bpf.SoftirqProgSoftirqTick)
	}
	if s.loaded, err = load(h, wanted{id: "softirq", spec: spec, vars: vars,
		perCPU: []string{bpf.SoftirqMapSoftirqCpu}, idle: true}); err != nil {
		return err
	}
	if s.cpus, err = share[bpf.SoftirqSoftirqs](s.loaded.Maps[bpf.SoftirqMapSoftirqCpu]); err != nil {
		return errors.Join(refuse("softirq", err), s.loaded.Close())
	}
	s.seen = make([][Vectors]bpf.SoftirqDurations, len(s.cpus.slots))
	if !ticks {
		return nil
	}
	if err := s.loaded.attach(bpf.SoftirqProgSoftirqTick); err != nil {
		return errors.Join(refuse("softirq", err), s.Close())
	}
	return nil
}

// Read calls visit for each CPU and vector of which a run that was timed has ended since the last
// Read, with how long those took; *d is overwritten afterwards.
func (s *Softirqs) Read(visit func(cpu, vector int, d *Durations)) error {
	if s.cpus.slots == nil {
		return fmt.Errorf("read probe softirq: %w", os.ErrClosed)
	}
	d := &s.told
	for cpu := range s.cpus.slots {
		for v := range Vectors {
			if d.sinceLast(&s.seen[cpu][v], &s.cpus.slots[cpu].Vector[v]) {
				s.timing.ran += d.Count
				visit(cpu, v, d)
			}
		}
	}
	return nil
}

// Met calls visit for each CPU and vector of which the timer's ticks have found a run that was not
// timed since the last Met, with how long the longest has lasted at least. It may go on.
func (s *Softirqs) Met(visit func(cpu, vector int, atLeast time.Duration)) {
	for cpu := range s.cpus.slots {
		for v := range Vectors {
			p := &s.cpus.slots[cpu].Longest[v]
			if atomic.LoadUint64(p) == 0 {
				continue
			}
			visit(cpu, v, time.Duration(take(p)))
		}
	}
}

// Close disarms the probe.
func (s *Softirqs) Close() error { return errors.Join(s.cpus.Close(), s.loaded.Close()) }
