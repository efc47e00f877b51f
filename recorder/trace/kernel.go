//go:build linux

// Package trace keeps what the armed eBPF probes tell: their events, softirq and function
// latencies, sampled stacks and drops, each in a ring of fixed size, until a cut renders
// the window's part of them.
package trace

import (
	"strings"
	"time"

	"github.com/spikebox/spikebox/format/member"
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

// Kernel is the armed probes and the rings of what they told.
type Kernel struct {
	Probes  *probe.Set
	Results []probe.Result
	Counts  [probe.Kinds]probe.EventCount // of all events since arming, at the last Tick

	events    *ring.Newest[probe.Event]
	stacks    *ring.Newest[sample]
	latencies *ring.Newest[Latency]
	drops     *ring.Newest[drop]
	losses    *ring.Newest[loss]
	log       func(string)
	failing   bool

	second    time.Time // that is being added up
	current   map[latencyKey]*Latency
	dropsSeen map[dropCause]uint64
	dropBuf   []probe.DropCount
	softirq   [4]time.Duration // longest NET_RX of the last ticks
	echo      [4]probe.Durations
	ticks     int
}

// Options are what the probes are armed with, and for how long a window.
type Options struct {
	probe.Options
	Window time.Duration
	CPUs   int
}

// Open arms every probe that can be, and says once what cannot.
func Open(o Options, log func(string)) *Kernel {
	k := &Kernel{
		events:    ring.NewNewest[probe.Event](eventsKept),
		stacks:    ring.NewNewest[sample](stacksKept),
		drops:     ring.NewNewest[drop](dropsKept),
		log:       log,
		current:   map[latencyKey]*Latency{},
		dropsSeen: map[dropCause]uint64{},
	}
	seconds := int(o.Window/time.Second) + 2
	k.losses = ring.NewNewest[loss](seconds)
	k.latencies = ring.NewNewest[Latency](min(latenciesMost, seconds*o.CPUs*latenciesPerSecond))
	k.Probes, k.Results = probe.Open(o.Options)
	for _, line := range refusals(k.Results) {
		log(line)
	}
	return k
}

// refusals says which probes are not armed, those with the same reason in one line.
func refusals(results []probe.Result) (lines []string) {
	byReason := map[string][]string{}
	var reasons []string
	for _, r := range results {
		if r.Err == nil {
			continue
		}
		reason := probe.Reason(r.Err)
		if byReason[reason] == nil {
			reasons = append(reasons, reason)
		}
		byReason[reason] = append(byReason[reason], r.Probe.ID)
	}
	for _, reason := range reasons {
		lines = append(lines, "kernel probes not armed: "+strings.Join(byReason[reason], ", ")+": "+reason)
	}
	return lines
}

// Refusal is why a probe is not armed, nil where it is.
func (k *Kernel) Refusal(id string) error {
	for _, r := range k.Results {
		if r.Probe.ID == id {
			return r.Err
		}
	}
	return nil
}

// Tick takes what the probes have told since the last one. It never waits.
func (k *Kernel) Tick(now time.Time) {
	slot := k.ticks % len(k.softirq)
	k.ticks++
	k.softirq[slot], k.echo[slot] = 0, probe.Durations{}
	for _, read := range []func() error{
		k.readEvents,
		func() error { return k.readSoftirqs(slot) },
		func() error { return k.readEcho(slot) },
	} {
		k.note(read())
	}
	if now.Sub(k.second) >= second {
		k.note(k.readFunctions())
		k.note(k.readDrops(now))
		k.losses.Push(loss{now, k.lostSoFar()})
		k.roll(now)
	}
}

// note says the first failure: the probes of a process that lives do not fail to be
// read, so a second one would only repeat it.
func (k *Kernel) note(err error) {
	if err == nil {
		return
	}
	if !k.failing {
		k.log("error: " + err.Error())
	}
	k.failing = true
}

func (k *Kernel) readEvents() error {
	if k.Probes.Events == nil {
		return nil
	}
	k.Probes.Events.Counts(&k.Counts)
	_, err := k.Probes.Events.Read(func(e *probe.Event) {
		if e.Kind != probe.Stack {
			kept := *e
			kept.Frames = nil
			k.events.Push(kept)
			return
		}
		s := sample{at: e.Time, vector: e.Reason, cpu: e.CPU, age: e.Duration}
		s.n = copy(s.frames[:], e.Frames)
		k.stacks.Push(s)
	})
	return err
}

func (k *Kernel) readSoftirqs(slot int) error {
	if k.Probes.Softirqs == nil {
		return nil
	}
	return k.Probes.Softirqs.Read(func(cpu, vector int, d *probe.Durations) {
		k.add(latencyKey{cpu: cpu, name: probe.VectorName(vector), kind: member.Softirq}, d)
		if vector == probe.NetRX {
			k.softirq[slot] = max(k.softirq[slot], d.Max)
		}
	})
}

func (k *Kernel) readFunctions() error {
	if k.Probes.Functions == nil {
		return nil
	}
	return k.Probes.Functions.Read(func(cpu int, function string, d *probe.Durations) {
		k.add(latencyKey{cpu: cpu, name: function, kind: member.Function}, d)
	})
}

func (k *Kernel) readEcho(slot int) error {
	if k.Probes.Echo == nil {
		return nil
	}
	return k.Probes.Echo.Read(&k.echo[slot])
}

// SoftirqMax is the longest NET_RX of the last second of ticks.
func (k *Kernel) SoftirqMax() time.Duration {
	longest := time.Duration(0)
	for _, d := range k.softirq {
		longest = max(longest, d)
	}
	return longest
}

// EchoMax is the longest delay of an echo reply in the last second of ticks, and whether
// there was one.
func (k *Kernel) EchoMax() (longest time.Duration, any bool) {
	for i := range k.echo {
		longest = max(longest, k.echo[i].Max)
		any = any || k.echo[i].Count > 0
	}
	return longest, any
}

// Close disarms the probes.
func (k *Kernel) Close() error { return k.Probes.Close() }
