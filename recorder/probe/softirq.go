//go:build linux

package probe

import (
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/spikebox/spikebox/bpf"
)

var softirqProbe = Probe{
	ID:      "softirq",
	Doc:     "how long each run of each softirq vector takes, per CPU; long ones as events",
	Attach:  []string{"tp_btf/softirq_entry", "tp_btf/softirq_exit"},
	Needs:   tracing,
	Without: "stalls of a CPU's network work; /proc/softirqs and softnet_stat count runs, not their length",
	open: func(s *Set, o Options) (c io.Closer, variant string, err error) {
		s.Softirqs, err = openSoftirqs(s.hub, o)
		return s.Softirqs, "", err
	},
}

// Vectors is the number of softirq vectors.
const Vectors = 10

// vectorNames are softirq_to_name of kernel/softirq.c, the same since 4.2.
var vectorNames = [Vectors]string{
	"HI", "TIMER", "NET_TX", "NET_RX", "BLOCK", "IRQ_POLL", "TASKLET", "SCHED", "HRTIMER", "RCU",
}

// VectorName returns a softirq vector's name as in /proc/softirqs.
func VectorName(vector int) string {
	if vector < 0 || vector >= Vectors {
		return fmt.Sprint(vector)
	}
	return vectorNames[vector]
}

// NetRX is the vector that receives packets.
const NetRX = 3

// Softirqs is the armed probe of softirqs.
type Softirqs struct {
	loaded *loaded
	cpus   *shared[bpf.SoftirqSoftirqs]
	seen   [][Vectors]bpf.SoftirqDurations // by CPU, at the last Read
}

// openSoftirqs arms the probe for the whole machine.
func openSoftirqs(h hub, o Options) (*Softirqs, error) {
	spec, err := bpf.LoadSoftirq()
	if err != nil {
		return nil, fmt.Errorf("read embedded probe softirq: %w", err)
	}
	vars := map[string]any{}
	if o.LongSoftirq > 0 {
		vars[bpf.SoftirqVarLongSoftirq] = uint64(o.LongSoftirq)
	}
	l, err := load(h, wanted{id: "softirq", spec: spec, vars: vars,
		perCPU: []string{bpf.SoftirqMapSoftirqCpu}})
	if err != nil {
		return nil, err
	}
	cpus, err := share[bpf.SoftirqSoftirqs](l.Maps[bpf.SoftirqMapSoftirqCpu])
	if err != nil {
		return nil, errors.Join(refuse("softirq", err), l.Close())
	}
	return &Softirqs{l, cpus, make([][Vectors]bpf.SoftirqDurations, len(cpus.slots))}, nil
}

// Read calls visit for each CPU and vector that has run since the last Read, with
// what it did; *d is overwritten afterwards.
func (s *Softirqs) Read(visit func(cpu, vector int, d *Durations)) error {
	if s.cpus.slots == nil {
		return fmt.Errorf("read probe softirq: %w", os.ErrClosed)
	}
	var d Durations
	for cpu := range s.cpus.slots {
		for v := range Vectors {
			if d.sinceLast(&s.seen[cpu][v], &s.cpus.slots[cpu].Vector[v]) {
				visit(cpu, v, &d)
			}
		}
	}
	return nil
}

// Close disarms the probe.
func (s *Softirqs) Close() error { return errors.Join(s.cpus.Close(), s.loaded.Close()) }
