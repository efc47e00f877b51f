//go:build linux

package trace

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/spikebox/spikebox/format/member"
	"github.com/spikebox/spikebox/recorder/probe"
	"github.com/spikebox/spikebox/recorder/ring"
)

// Of a softirq that nobody timed the ticks that met it make one event and one line, as long as from the
// first to the last of them; of one that was timed the kernel tells. A stack stands for the time since the
// one before it.
func TestWhatTicksMet(t *testing.T) {
	const ms = int64(time.Millisecond)
	r := &Recording{
		probes: &probe.Set{Softirqs: &probe.Softirqs{Long: 2 * time.Millisecond}}, running: map[uint16]*running{},
		events: ring.NewNewest[probe.Event](8), current: sums{}, latest: sums{},
	}
	var stands []time.Duration
	told := func(cpu uint16, at, age int64, untimed bool) {
		stands = append(stands, r.follow(&probe.Event{Kind: probe.Stack, CPU: cpu, Time: at * ms, Duration: time.Duration(age * ms), Reason: probe.NetRX, Untimed: untimed}))
	}
	told(0, 104, 4, true)
	told(1, 106, 6, false) // timed
	told(0, 108, 8, true)
	told(0, 120, 20, true) // a tick or two were not told
	told(1, 107, 7, false)
	told(0, 204, 4, true) // another one
	told(2, 206, 1, true) // too short for an event
	r.endAll()
	if want := []time.Duration{4e6, 6e6, 4e6, 12e6, 1e6, 4e6, 1e6}; !cmp.Equal(stands, want) {
		t.Errorf("they stand for %v, want %v", stands, want)
	}
	var events []time.Duration
	r.events.Each(func(e *probe.Event) {
		if e.Kind != probe.LongSoftirq || e.CPU != 0 || !e.Untimed || e.Reason != probe.NetRX || e.Time != 120*ms && e.Time != 204*ms {
			t.Errorf("event %+v", e)
		}
		events = append(events, e.Duration)
	})
	if want := []time.Duration{20e6, 4e6}; !cmp.Equal(events, want) {
		t.Errorf("events of %v, want %v", events, want)
	}
	if len(r.latest) != 2 || len(r.running) != 0 {
		t.Errorf("%d lines, %d go on", len(r.latest), len(r.running))
	}
	l := r.latest[latencyKey{cpu: 0, name: "NET_RX", kind: member.Softirq, met: true}]
	if l == nil || !l.Met || l.D.Count != 2 || l.D.Max != 20e6 || l.D.Sum != 24e6 || l.D.Bucket[24] != 1 || l.D.Bucket[21] != 1 {
		t.Errorf("line %+v", l)
	}
}
