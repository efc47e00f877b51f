//go:build linux

package trace

import (
	"time"

	"github.com/spikebox/spikebox/recorder/probe"
)

// Latency is how long a softirq or function ran on one CPU within one second.
type Latency struct {
	At   time.Time // start of the second
	CPU  int
	Kind string // member.Softirq, member.Function
	Name string // NET_RX, tcp_collapse
	D    probe.Durations
}

type latencyKey struct {
	cpu        int
	kind, name string
}

// add counts durations in the current second.
func (k *Kernel) add(key latencyKey, d *probe.Durations) {
	l := k.current[key]
	if l == nil {
		l = &Latency{CPU: key.cpu, Kind: key.kind, Name: key.name}
		k.current[key] = l
	}
	l.D.Merge(d)
}

// roll keeps the second that has ended and starts the next. The map's entries stay, so
// that a steady host allocates nothing.
func (k *Kernel) roll(now time.Time) {
	for _, l := range k.current {
		if l.D.Count > 0 {
			l.At = k.second
			k.latencies.Push(*l)
			l.D = probe.Durations{}
		}
	}
	k.second = now
}

// drop is how many packets one place dropped for one reason within one second.
type drop struct {
	at    time.Time
	cause dropCause
	count uint64
}

type dropCause struct {
	place  uint64
	reason uint32
}

// readDrops keeps what has moved since the last second.
func (k *Kernel) readDrops(now time.Time) (err error) {
	if k.Probes.Drops == nil {
		return nil
	}
	k.dropBuf, err = k.Probes.Drops.Read(k.dropBuf[:0])
	for _, c := range k.dropBuf {
		cause := dropCause{c.Place, c.Reason}
		before, known := k.dropsSeen[cause]
		k.dropsSeen[cause] = c.Count
		if c.Count > before && (known || k.ticks > 1) {
			k.drops.Push(drop{at: now, cause: cause, count: c.Count - before})
		}
	}
	return err
}

// sample is one stack inside a long softirq.
type sample struct {
	at     int64 // CLOCK_MONOTONIC, ns
	cpu    uint16
	vector uint32
	age    time.Duration // for how long the softirq had run
	frames [framesKept]uint64
	n      int
}
