//go:build linux

package trace

import (
	"time"

	"github.com/spikebox/spikebox/format/member"
	"github.com/spikebox/spikebox/recorder/internal/rounds"
	"github.com/spikebox/spikebox/recorder/probe"
)

// Latency is how long a softirq or function ran on one CPU within one second, or the part of one that Split made.
type Latency struct {
	At   time.Time // its start
	CPU  int
	Kind string // member.Softirq, member.Function
	Name string // NET_RX, tcp_collapse
	D    probe.Durations
	// Timed is for how long of the second softirqs were timed; 0: all of it.
	Timed time.Duration
	Met   bool // not timed, but met by the timer's ticks: each took at least so long
}

type latencyKey struct {
	cpu        int
	kind, name string
	met        bool
}

// sums adds up durations by what ran where. Its entries stay, so that a steady host allocates nothing.
type sums map[latencyKey]*Latency

func (s sums) add(key latencyKey, d *probe.Durations) {
	l := s[key]
	if l == nil {
		l = &Latency{CPU: key.cpu, Kind: key.kind, Name: key.name, Met: key.met}
		s[key] = l
	}
	l.D.Merge(d)
}

// add counts durations in the tick that goes on.
func (r *Recording) add(key latencyKey, d *probe.Durations) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.settle()
	r.open = true
	r.latest.add(key, d)
}

// settle adds the last tick to the second that is being added up, once that tick is over for good: until the next one begins, Split may cut
// before it. It is called under mu.
func (r *Recording) settle() {
	if r.open {
		return
	}
	for key, l := range r.latest {
		if l.D.Count > 0 {
			r.current.add(key, &l.D)
			l.D = probe.Durations{}
		}
	}
}

// close ends a tick.
func (r *Recording) close(now time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.settle()
	r.open = false
	r.before, r.ticked = r.ticked, now
}

const (
	// splitEvery is how many seconds are worth one split: a quarter more lines at most, whatever dances on its limit.
	splitEvery = 4
	// splitsMost may come at once.
	splitsMost = 8
)

// Split ends the second that is being added up where the last tick began, whose numbers brought a trigger's condition about: what
// was before is told apart from what came with it.
func (r *Recording) Split() {
	if r.credit < 1 || !r.before.After(r.second) {
		return
	}
	r.credit--
	r.note("drop", r.readDrops(r.ticked))
	r.roll(r.before)
}

// roll keeps what was added up until a tick, and begins the next second there.
func (r *Recording) roll(now time.Time) {
	timed := r.timed(now)
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, l := range r.current {
		if l.D.Count > 0 {
			l.At, l.Timed = r.second, 0
			if l.Kind == member.Softirq && !l.Met {
				l.Timed = timed
			}
			r.latencies.Push(*l)
			l.D = probe.Durations{}
		}
	}
	r.second = now
}

// timed is for how long of the second that ends softirqs were timed; 0: all of it, but for what
// switching that on and off takes.
func (r *Recording) timed(now time.Time) time.Duration {
	if r.probes.Softirqs == nil {
		return 0
	}
	timed := r.probes.Softirqs.TimedFor(r.second, now)
	if now.Sub(r.second)-timed <= 10*time.Millisecond {
		return 0
	}
	return max(timed, 1)
}

// drop is how many packets one place dropped for one reason within one second, or less.
type drop struct {
	at    time.Time // its begin
	cause dropCause
	count uint64
}

type dropCause struct {
	place        uint64
	reason       uint32
	unattributed bool // it may be any network namespace's
}

// readDrops keeps what has moved in the second that ends. What was counted from arming on
// begins at 0, so that a cause that is new has all of its count in this second. The map is
// the one thing of the probes that is not in this process's memory: it is read beside, and
// left out while it hangs.
func (r *Recording) readDrops(now time.Time) error {
	if r.probes.Drops == nil {
		return nil
	}
	r.dropGap.Begin(now)
	if r.rounds.Do(rounds.Tick, r.reading); !r.reading[0].Done() {
		return nil // the manifest says for how long
	}
	r.dropGap.Filled(now)
	from := r.dropsFrom
	r.dropsFrom = now
	for _, c := range r.dropBuf {
		cause := dropCause{c.Place, c.Reason, c.Unattributed}
		before := r.dropsSeen[cause]
		r.dropsSeen[cause] = c.Count
		if c.Count > before {
			r.drops.Push(drop{at: from, cause: cause, count: c.Count - before})
		}
	}
	return r.dropErr
}

// sample is one stack inside a long softirq.
type sample struct {
	at     int64 // CLOCK_MONOTONIC, ns
	cpu    uint16
	vector uint32
	stands time.Duration // for the time since the one before it, or since the softirq began
	frames [framesKept]uint64
	n      int
}
