//go:build linux

package trace

import (
	"math/bits"
	"time"

	"golang.org/x/sys/unix"

	"github.com/spikebox/spikebox/format/member"
	"github.com/spikebox/spikebox/recorder/probe"
)

// running is a long softirq of which stacks are told.
type running struct {
	begin, last int64 // CLOCK_MONOTONIC, ns; of one that nobody timed, when it was first met and when last
	vector      uint32
	untimed     bool
}

// silentFor is for how long no tick meets a softirq that has ended: two and a half of the slowest,
// 10 ms at 100 Hz.
const silentFor = 25 * time.Millisecond

// follow takes a stack of a softirq, and says for how much of its time that stands.
func (r *Recording) follow(e *probe.Event) time.Duration {
	begin := e.Time - int64(e.Duration)
	run := r.running[e.CPU]
	if run == nil || run.begin != begin {
		r.end(e.CPU)
		run = &running{begin: begin, last: begin}
		r.running[e.CPU] = run
	}
	stands := time.Duration(e.Time - run.last)
	run.last, run.vector, run.untimed = e.Time, e.Reason, e.Untimed
	return stands
}

// endSilent ends those that no tick has met for a while.
func (r *Recording) endSilent() {
	if len(r.running) == 0 {
		return
	}
	var now unix.Timespec
	if unix.ClockGettime(unix.CLOCK_MONOTONIC, &now) != nil {
		return
	}
	for cpu, run := range r.running {
		if now.Nano()-run.last > int64(silentFor) {
			r.end(cpu)
		}
	}
}

// endAll ends all of them, for a cut: of one that goes on it holds what there is.
func (r *Recording) endAll() {
	for cpu := range r.running {
		r.end(cpu)
	}
}

// end tells of a softirq that has ended what nobody else does: the kernel does of those that are timed.
func (r *Recording) end(cpu uint16) {
	run := r.running[cpu]
	delete(r.running, cpu)
	if run == nil || !run.untimed {
		return
	}
	took := time.Duration(run.last - run.begin)
	d := probe.Durations{Count: 1, Sum: took, Max: took}
	d.Bucket[min(max(1, bits.Len64(uint64(took)))-1, probe.Log2Buckets-1)] = 1
	r.add(latencyKey{cpu: int(cpu), name: probe.VectorName(int(run.vector)), kind: member.Softirq, met: true}, &d)
	if took >= r.probes.Softirqs.Long {
		r.events.Push(probe.Event{Kind: probe.LongSoftirq, Time: run.last, CPU: cpu, Reason: run.vector, Duration: took, Untimed: true})
	}
}
