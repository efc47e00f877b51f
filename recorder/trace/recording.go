//go:build linux

// Package trace keeps what the armed eBPF probes told over time: their events, softirq and
// function latencies, sampled stacks and drops, each in a ring of fixed size, until a cut
// renders the window's part of them.
package trace

import (
	"log/slog"
	"sync"
	"time"

	"github.com/spikebox/spikebox/format/member"
	"github.com/spikebox/spikebox/recorder/internal/rounds"
	"github.com/spikebox/spikebox/recorder/probe"
	"github.com/spikebox/spikebox/recorder/ring"
)

const (
	// eventsKept is what the kernel's own rate limits let through in some minutes.
	eventsKept = 16 << 10
	// stacksKept is two seconds of nothing but long softirqs, at 1 kHz.
	stacksKept = 2048
	// second is a little less than one: four ticks that jitter must not become five.
	second = 900 * time.Millisecond
	// framesKept of a stack: net_rx_action to tcp_collapse is about 25.
	framesKept = 48
	// dropsKept bounds causes times seconds.
	dropsKept = 8192
	// latenciesPerSecond is how many pairs of CPU and softirq (or function) are busy on
	// one CPU in a second.
	latenciesPerSecond = 8
	// latenciesMost bounds the ring on large hosts: 64 CPUs for two minutes, 15 MiB.
	latenciesMost = 64 << 10
)

// Recording is the rings of what the probes told.
type Recording struct {
	probes *probe.Set
	Heed   func(*probe.Event)            // is shown each event within Tick, where it is set
	counts [probe.Kinds]probe.EventCount // of all events since arming, at the last Tick

	events    *ring.Newest[probe.Event]
	stacks    *ring.Newest[sample]
	latencies *ring.Newest[Latency]
	drops     *ring.Newest[drop]
	losses    *ring.Newest[loss]
	log       *slog.Logger
	failed    map[string]failure // to read, by what

	running   map[uint16]*running // long softirqs that go on, by CPU
	mu        sync.Mutex          // of what follows: a meter that hung may hand on what it has while this ticks
	current   sums                // from second until the last tick
	latest    sums                // of the last tick, or of the one that goes on
	open      bool                // latest is of the one that goes on
	second    time.Time           // begin of what is being added up
	ticked    time.Time           // the last tick
	before    time.Time           // the one before it
	credit    float64             // splits that may be made
	dropsFrom time.Time           // begin of the drops that were not read
	dropsSeen map[dropCause]uint64
	gaps      ring.Gaps

	rounds  *rounds.Rounds
	reading []*rounds.Thing // of the map of drops, with what it gives
	dropBuf []probe.DropCount
	dropErr error
	dropGap ring.Gaps
}

// gapAllowed is how long the probes may go unread. What they count adds up meanwhile, and
// their buffer holds some thousand events, but a second of histograms becomes a longer one.
const gapAllowed = 2 * time.Second

// New makes the rings for what probes, armed by now, tell within a window on a machine with
// so many CPUs. The probes stay the caller's to close.
func New(probes *probe.Set, now time.Time, window time.Duration, cpus int, log *slog.Logger) *Recording {
	seconds := int(window/time.Second) + 2
	r := &Recording{
		probes:    probes,
		events:    ring.NewNewest[probe.Event](eventsKept),
		stacks:    ring.NewNewest[sample](stacksKept),
		latencies: ring.NewNewest[Latency](min(latenciesMost, (seconds+seconds/splitEvery+splitsMost)*cpus*latenciesPerSecond)),
		drops:     ring.NewNewest[drop](dropsKept),
		losses:    ring.NewNewest[loss](seconds),
		log:       log,
		failed:    map[string]failure{},
		running:   map[uint16]*running{},
		second:    now,
		ticked:    now,
		before:    now,
		dropsFrom: now,
		credit:    splitsMost,
		current:   sums{},
		latest:    sums{},
		dropsSeen: map[dropCause]uint64{},
		gaps:      ring.NewGaps(gapAllowed),
		dropGap:   ring.NewGaps(gapAllowed),
		rounds:    rounds.New(),
	}
	r.reading = []*rounds.Thing{{Read: func() { r.dropBuf, r.dropErr = probes.Drops.Read(r.dropBuf[:0]) }}}
	return r
}

// Close ends what reads beside the caller.
func (r *Recording) Close() { r.rounds.Close() }

// Tick takes what the probes have told since the last one. It waits for nothing but once,
// and shortly, for a map that does not answer.
func (r *Recording) Tick(now time.Time) {
	r.gaps.Filled(now)
	r.note("events", r.readEvents())
	r.endSilent()
	r.note("function", r.readFunctions())
	r.advance(now)
}

// advance ends a tick, and the second before it where that is over: of the last tick only what is evaluated next says whether it is the
// begin of something.
func (r *Recording) advance(now time.Time) {
	r.close(now)
	if r.before.Sub(r.second) >= second {
		r.finish(now, r.before)
	}
}

// finish ends the second that is being added up at a tick, and begins the next there.
func (r *Recording) finish(now, until time.Time) {
	// Drops are read by the second: that takes a system call for each of their causes.
	r.note("drop", r.readDrops(now))
	lost := r.lostSoFar()
	lost.at = now
	r.losses.Push(lost)
	r.credit = min(r.credit+1.0/splitEvery, splitsMost)
	r.roll(until)
}

// failure is what could not be read of the kernel, how often and when last.
type failure struct {
	n    uint64
	last time.Time
	err  error
}

// note keeps a failure for the manifest and says the first: one that comes again would only
// repeat it.
func (r *Recording) note(what string, err error) {
	if err == nil {
		return
	}
	f := r.failed[what]
	if f.n == 0 {
		r.log.Error(err.Error())
	}
	r.failed[what] = failure{f.n + 1, time.Now(), err}
}

func (r *Recording) readEvents() error {
	if r.probes.Events == nil {
		return nil
	}
	r.probes.Events.Counts(&r.counts)
	_, err := r.probes.Events.Read(func(e *probe.Event) {
		if r.Heed != nil {
			r.Heed(e)
		}
		if e.Kind != probe.Stack {
			kept := *e
			kept.Frames = nil
			r.events.Push(kept)
			return
		}
		s := sample{at: e.Time, vector: e.Reason, cpu: e.CPU, stands: r.follow(e)}
		s.n = copy(s.frames[:], e.Frames)
		r.stacks.Push(s)
	})
	return err
}

// Softirq counts how long the runs of one softirq vector took on a CPU. The meter of
// softirqs, which reads them at each tick, hands them here.
func (r *Recording) Softirq(cpu, vector int, d *probe.Durations) {
	r.add(latencyKey{cpu: cpu, name: probe.VectorName(vector), kind: member.Softirq}, d)
}

func (r *Recording) readFunctions() error {
	if r.probes.Functions == nil {
		return nil
	}
	return r.probes.Functions.Read(func(cpu int, function string, d *probe.Durations) {
		r.add(latencyKey{cpu: cpu, name: function, kind: member.Function}, d)
	})
}
