//go:build linux

package probe

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"math"
	"math/bits"
	"os"
	"sync/atomic"
	"time"

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
		return s.Softirqs, "one brief NET_RX in 8 timed while stacks are sampled", err
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
	// Long is from which duration on a run is an event.
	Long   time.Duration
	loaded *loaded
	cpus   *shared[bpf.SoftirqSoftirqs]
	seen   [][Vectors]softirqSeen // by CPU
	told   Durations              // of the visit that goes on
}

// softirqSeen are the totals of one vector on one CPU at the last Read.
type softirqSeen struct {
	timed             bpf.SoftirqDurations
	untimed, sumBrief uint64
}

// openSoftirqs arms the probe for the whole machine.
func openSoftirqs(h hub, o Options) (*Softirqs, error) {
	spec, err := bpf.LoadSoftirq()
	if err != nil {
		return nil, fmt.Errorf("read embedded probe softirq: %w", err)
	}
	long := cmp.Or(o.LongSoftirq, 2*time.Millisecond)
	vars := map[string]any{bpf.SoftirqVarLongSoftirq: uint64(long)}
	l, err := load(h, wanted{id: "softirq", spec: spec, vars: vars,
		perCPU: []string{bpf.SoftirqMapSoftirqCpu}})
	if err != nil {
		return nil, err
	}
	cpus, err := share[bpf.SoftirqSoftirqs](l.Maps[bpf.SoftirqMapSoftirqCpu])
	if err != nil {
		return nil, errors.Join(refuse("softirq", err), l.Close())
	}
	return &Softirqs{Long: long, loaded: l, cpus: cpus, seen: make([][Vectors]softirqSeen, len(cpus.slots))}, nil
}

// Read calls visit for each CPU and vector that has run since the last Read, with
// what it did; *d is overwritten afterwards. While stacks are sampled one in eight of the brief
// runs of NET_RX and NET_TX is timed, and the others are taken to have been like these (bpf/duration.h).
func (s *Softirqs) Read(visit func(cpu, vector int, d *Durations)) error {
	if s.cpus.slots == nil {
		return fmt.Errorf("read probe softirq: %w", os.ErrClosed)
	}
	d := &s.told
	for cpu := range s.cpus.slots {
		for v := range Vectors {
			if s.since(cpu, v, d) {
				visit(cpu, v, d)
			}
		}
	}
	return nil
}

// since puts what one vector did on one CPU since the last Read into d, and says whether it ran.
func (s *Softirqs) since(cpu, v int, d *Durations) bool {
	now, seen := &s.cpus.slots[cpu], &s.seen[cpu][v]
	untimed := since(&seen.untimed, atomic.LoadUint64(&now.Untimed[v]))
	if !d.sinceLast(&seen.timed, &now.Vector[v]) {
		if untimed == 0 {
			return false
		}
		*d = Durations{}
	}
	if sum := since(&seen.sumBrief, atomic.LoadUint64(&now.SumBrief[v])); count(d.Bucket[:briefBuckets]) > 0 {
		d.spread(untimed, sum)
	} else if all := count(seen.timed.Bucket[:briefBuckets]); all > 0 { // none was timed since the last Read
		d.add(untimed, seen.sumBrief/all)
	}
	return true
}

// briefBuckets are those of the runs of which some are not timed: BRIEF of bpf/duration.h.
const briefBuckets = 20

// spread counts n untimed runs as having been like d's brief ones, which took sum ns.
func (d *Durations) spread(n, sum uint64) {
	timed := d.Bucket
	total := count(timed[:briefBuckets])
	// The share of all up to a bucket, less that of those before: rounding loses none.
	var upTo, given uint64
	for i, k := range timed[:briefBuckets] {
		upTo += k
		share := uint64(math.Round(float64(n) * float64(upTo) / float64(total)))
		d.Bucket[i] += share - given
		given = share
	}
	d.Count += n
	// A run that ended between the two readings is in the sum and not yet in a bucket.
	d.Sum += time.Duration(n) * min(time.Duration(sum/total), d.Max)
}

// add counts n runs of so many ns.
func (d *Durations) add(n, ns uint64) {
	d.Bucket[max(1, bits.Len64(ns))-1] += n
	d.Count += n
	d.Sum += time.Duration(n * ns)
	d.Max = max(d.Max, time.Duration(ns))
}

func count(buckets []uint64) (n uint64) {
	for _, k := range buckets {
		n += k
	}
	return n
}

// Close disarms the probe.
func (s *Softirqs) Close() error { return errors.Join(s.cpus.Close(), s.loaded.Close()) }
