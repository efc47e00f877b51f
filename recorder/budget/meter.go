//go:build linux

package budget

import (
	"fmt"
	"io"
	"slices"
	"time"

	"golang.org/x/sys/unix"

	"github.com/spikebox/spikebox/format/kerneltext"
	"github.com/spikebox/spikebox/recorder/internal/procfs"
	"github.com/spikebox/spikebox/recorder/internal/rounds"
	"github.com/spikebox/spikebox/recorder/probe"
)

const (
	// Period is a measure's length, in ticks: 10 s.
	Period = 40
	// stride puts the slice of each measure at another tick of it, so that a load that itself
	// comes every 10 s is not met each time, or never. It has no divisor in common with
	// the 39 places there are.
	stride = 16
	// telling is how many packets make a slice a sample of its period.
	telling = 100
)

// Meter measures what the recorder costs. The process's own time is what getrusage(2) tells.
// The time of programs is the kernel's to tell, which costs some 20 ns a run more while it
// does: it does so for a tick of each period, and what that gives is reckoned up by the packets of
// the whole period. Where it does not, it is estimated from the packets alone.
//
// A measure takes 0.5 ms of a CPU in 10 s, most of it for switching the timing on and off.
type Meter struct {
	root   string
	cpus   int
	Period int // of a measure, in ticks: at least 2
	probes *probe.Set
	Armed  func(tier int) bool
	works  map[string]Work
	rounds *rounds.Rounds
	thing  rounds.Thing // whose Read is step
	now    time.Time    // for step
	lost   bool         // a step did not come back in time

	// What follows is step's.
	softnet *procfs.File
	unread  error     // why there is no softnet, and the load is not known
	untimed error     // why the kernel does not time programs
	n       int       // measures so far
	tick    int       // of the period
	begin   count     // of the period; the zero value: it has not begun
	slice   count     // of the slice
	timed   io.Closer // nil: not within the slice
	// What the slice gave: CPUs that each of probe.All took, and packets a second, 0 where
	// there were too few.
	rates  []float64
	rate   float64
	timing float64  // in which part of the slice softirqs were timed
	out    *Measure // nil: none yet
}

// count is what has been counted by an instant.
type count struct {
	at      time.Time
	own     time.Duration
	works   map[string]time.Duration // of own, by the tier
	packets uint32                   // wraps, as each CPU's count does
	clocks  time.Duration            // that those which sample stacks have taken of each CPU
	runs    []time.Duration          // by probe.All; nil: not read
}

// Work is what the process itself does for a tier: Measure.Own has it.
type Work interface {
	// Spent is the CPU time that it has taken so far.
	Spent() time.Duration
	// Pause stops it, or has it go on.
	Pause(off bool)
}

// NewMeter measures on a machine with so many CPUs. The files lie below root; works are by their tiers' IDs, and armed
// tells which of Tiers is.
func NewMeter(root string, cpus int, probes *probe.Set, works map[string]Work, armed func(tier int) bool) *Meter {
	m := &Meter{
		root: root, cpus: cpus, Period: Period, probes: probes, works: works, Armed: armed,
		rounds: rounds.New(), rates: make([]float64, len(probe.All)),
	}
	m.thing.Read = m.step
	timing, err := probe.TimeRuns()
	if m.untimed = err; err == nil {
		timing.Close()
	}
	return m
}

// Tick takes the next tick, and gives a measure where it is the last of a period.
func (m *Meter) Tick(now time.Time) (_ Measure, ok bool) {
	if m.thing.Hung() {
		return Measure{}, false
	}
	if m.lost {
		m.Skip()
	}
	m.tick++
	begin := 1 + m.n*stride%(m.Period-1) // of the slice
	if !m.begin.at.IsZero() && m.tick != begin && m.tick != begin+1 && m.tick < m.Period {
		return Measure{}, false
	}
	m.now, m.out = now, nil
	m.rounds.Do(rounds.Tick, []*rounds.Thing{&m.thing})
	if m.lost = !m.thing.Done(); m.lost || m.out == nil {
		return Measure{}, false
	}
	return *m.out, true
}

// step does what is due at a tick.
func (m *Meter) step() {
	switch {
	case m.begin.at.IsZero():
		if m.softnet == nil { // opening may hang as well
			m.softnet, m.unread = procfs.Open(m.root, "proc/net/softnet_stat")
		}
		m.begin, m.tick = m.count(false), 0
		return
	case m.timed != nil:
		m.endSlice()
	case m.untimed == nil && m.tick < m.Period:
		m.beginSlice()
	}
	if m.tick >= m.Period {
		m.out = m.finish()
	}
}

// Skip leaves out everything until the next Tick, with which a period begins.
func (m *Meter) Skip() {
	if m.thing.Hung() {
		return // the next Tick does
	}
	if m.timed != nil {
		m.timed.Close()
	}
	m.timed, m.begin, m.lost = nil, count{}, false
}

// Close gives back what measuring took.
func (m *Meter) Close() {
	m.rounds.Close()
	if m.Skip(); m.softnet != nil && !m.thing.Hung() {
		m.softnet.Close()
	}
}

// beginSlice has the kernel time programs.
func (m *Meter) beginSlice() {
	if m.timed, m.untimed = probe.TimeRuns(); m.untimed == nil {
		m.slice = m.count(true)
	}
}

// endSlice has it stop, and takes the rates.
func (m *Meter) endSlice() {
	end := m.count(true)
	m.timed.Close()
	m.timed, m.rate = nil, 0
	took := end.at.Sub(m.slice.at)
	m.timing = m.softirqsTimed(m.slice.at, end.at)
	if end.runs == nil || m.slice.runs == nil || took <= 0 {
		return
	}
	if n := end.packets - m.slice.packets; n >= telling {
		m.rate = float64(n) / took.Seconds()
	}
	for i := range m.rates {
		// A virtual machine's clock of a CPU may step back, and a run of it counts below zero.
		m.rates[i] = max(0, float64(end.runs[i]-m.slice.runs[i])/float64(took))
	}
}

// finish ends the period.
func (m *Meter) finish() *Measure {
	end := m.count(false)
	took := end.at.Sub(m.begin.at)
	out := &Measure{
		Own:  float64(end.own-m.begin.own) / float64(took) / float64(m.cpus),
		Load: float64(end.packets-m.begin.packets) / took.Seconds(),
		Cost: make([]float64, len(Tiers)), Idle: make([]bool, len(Tiers)),
	}
	// Of all CPUs alike, and whatever the load; the program that samples runs within.
	clocks := float64(end.clocks-m.begin.clocks) / float64(took)
	timing := m.softirqsTimed(m.begin.at, end.at)
	for i, t := range Tiers {
		if m.works[t.ID] != nil {
			out.Cost[i] = float64(end.works[t.ID]-m.begin.works[t.ID]) / float64(took) / float64(m.cpus)
			continue
		}
		out.Cost[i] = m.programs(i, t, out.Load, clocks, timing)
		out.Programs += out.Cost[i]
		out.Idle[i] = t.ID == "stacks" && m.probes.Stacks != nil && !m.probes.Stacks.Wanted()
	}
	for i, p := range probe.All {
		if !inTier(p.ID) {
			out.Programs += m.reckoned(i, out.Load) / float64(m.cpus)
		}
	}
	m.n, m.tick, m.begin = m.n+1, 0, end
	return out
}

// softirqsTimed is in which part of the time from one tick to another softirqs were timed.
func (m *Meter) softirqsTimed(from, to time.Time) float64 {
	if m.probes.Softirqs == nil || !to.After(from) {
		return 0
	}
	return float64(m.probes.Softirqs.TimedFor(from, to)) / float64(to.Sub(from))
}

// programs is the share of the machine that a tier's programs take; clocks sampled stacks, and softirqs were
// timed, for those parts of the period.
func (m *Meter) programs(tier int, t *Tier, load, clocks, timing float64) (share float64) {
	if !m.Armed(tier) {
		return 0
	}
	part := 1.0
	if t.ID == "softirq" {
		part = timing
	}
	for i, p := range probe.All {
		if !slices.Contains(t.Probes, p.ID) {
			continue
		}
		if p.ID == "stacks" {
			share += clocks
			continue
		}
		one := m.reckoned(i, load) / float64(m.cpus)
		if t.ID == "softirq" && m.timing > 0 { // what the slice had is not what the period had
			one *= timing / m.timing
		}
		share += one
	}
	if m.untimed != nil {
		share += load * part * t.PerPacket.Seconds() / float64(m.cpus)
	}
	return share
}

// reckoned is the CPUs that a probe took in the slice, for the load of the whole period.
func (m *Meter) reckoned(probe int, load float64) float64 {
	switch {
	case m.untimed != nil:
		return 0
	case m.rate == 0:
		return m.rates[probe]
	}
	return m.rates[probe] * load / m.rate
}

func inTier(id string) bool {
	return slices.ContainsFunc(Tiers, func(t *Tier) bool { return slices.Contains(t.Probes, id) })
}

// count reads what is counted. An error of a file or a program leaves 0, or nil.
func (m *Meter) count(runs bool) count {
	c := count{at: m.now, works: make(map[string]time.Duration, len(m.works))}
	var used unix.Rusage
	if unix.Getrusage(unix.RUSAGE_SELF, &used) == nil {
		c.own = time.Duration(used.Utime.Nano() + used.Stime.Nano())
	}
	for id, w := range m.works {
		c.works[id] = w.Spent()
	}
	if m.probes.Stacks != nil {
		c.clocks = m.probes.Stacks.ClockTime(m.now)
	}
	if m.softnet != nil {
		if text, err := m.softnet.Read(); err == nil {
			kerneltext.ParseSoftnet(text, func(r kerneltext.SoftnetRow) { c.packets += r.Processed })
		}
	}
	if !runs {
		return c
	}
	c.runs = make([]time.Duration, len(probe.All))
	for i, p := range probe.All {
		var err error
		if c.runs[i], err = m.probes.RunTime(p.ID); err != nil {
			c.runs = nil
			break
		}
	}
	return c
}

// Untimed is why the kernel does not time programs, nil where it does.
func (m *Meter) Untimed() error { return m.untimed }

// Ground says how the time of programs is known.
func (m *Meter) Ground() string {
	switch {
	case m.untimed == nil:
		return fmt.Sprintf("the kernel timed the programs' runs in a tick of every %d", m.Period)
	case m.unread != nil:
		return fmt.Sprintf("the programs' time is not known: %v; %v", m.untimed, m.unread)
	}
	return fmt.Sprintf("the time of the programs of softirq, response and rtt is estimated from the packets received, that of others is not known: %v", m.untimed)
}
