//go:build linux

package ring

import (
	"cmp"
	"net/netip"
	"slices"
	"time"
)

// Listener is one listening socket's queues at one tick.
type Listener struct {
	At          time.Time
	Local       netip.AddrPort
	SynQueue    uint32 // half-open requests; SynQueueUnknown where the variant cannot see them
	AcceptQueue uint32 // connections that wait for accept(2)
	AcceptLimit uint32 // the backlog in force: min(listen's, somaxconn)
}

// SynQueueUnknown marks a SYN queue that could not be measured.
const SynQueueUnknown = ^uint32(0)

// busy says whether anything waits.
func (l *Listener) busy() bool {
	return l.AcceptQueue > 0 || l.SynQueue > 0 && l.SynQueue != SynQueueUnknown
}

// fuller orders listeners by how close they are to dropping connections: by their accept
// queues, of their limits, then by their half-open connections.
func fuller(a, b Listener) int {
	fill := func(l Listener) float64 { return float64(l.AcceptQueue) / float64(max(1, l.AcceptLimit)) }
	half := func(l Listener) uint32 { return l.SynQueue + 1 } // unknown is 0
	return cmp.Or(-cmp.Compare(fill(a), fill(b)), -cmp.Compare(half(a), half(b)), a.Local.Compare(b.Local))
}

const (
	// listenersTick is how many busy listeners of a tick are kept where memory allows: a host
	// with more of them is short of something else than a backlog.
	listenersTick = 128
	// listenersMost bounds all of them: 64 Ki rows of 72 bytes, 4.5 MiB. The window of 40 s that
	// is the default needs 1.5 MiB, and touches only what is used.
	listenersMost = 64 << 10
)

// Listeners keeps the busy listeners of the last ticks. There is room for as many a tick as
// are kept of one, so that a host with many of them does not have a shorter history. Add and
// EndTick are for one goroutine, which may hang and come back during a cut.
type Listeners struct {
	rows    *Newest[Listener]
	tick    []Listener
	perTick int
	left    *Newest[leftOut]
}

// leftOut is how many busy listeners of one tick were not kept.
type leftOut struct {
	at time.Time
	n  int
}

// NewListeners makes room for so many ticks.
func NewListeners(ticks int) *Listeners {
	perTick := max(1, min(listenersTick, listenersMost/ticks))
	return &Listeners{rows: NewNewest[Listener](ticks * perTick), perTick: perTick, left: NewNewest[leftOut](ticks)}
}

// Add gives one listener of the tick that goes on; one with empty queues is not kept.
func (r *Listeners) Add(l Listener) {
	if l.busy() {
		r.tick = append(r.tick, l)
	}
}

// EndTick keeps the fullest of the tick's listeners.
func (r *Listeners) EndTick(at time.Time) {
	if len(r.tick) > r.perTick {
		slices.SortFunc(r.tick, fuller)
		r.left.Push(leftOut{at, len(r.tick) - r.perTick})
		r.tick = r.tick[:r.perTick]
	}
	for _, l := range r.tick {
		l.At = at
		r.rows.Push(l)
	}
	r.tick = r.tick[:0]
}

// Since calls f for each listener that is held from start on, oldest first.
func (r *Listeners) Since(start time.Time, f func(*Listener)) {
	r.rows.Each(func(l *Listener) {
		if !l.At.Before(start) {
			f(l)
		}
	})
}

// Missing says what is not held of a window: busy listeners that were left out in how many
// ticks, and from when on all others are held, where that is later than the window's start.
func (r *Listeners) Missing(start time.Time) (listeners, ticks int, from time.Time) {
	r.left.Each(func(l *leftOut) {
		if !l.at.Before(start) {
			listeners += l.n
			ticks++
		}
	})
	if oldest := r.rows.Oldest(); r.rows.Forgotten() > 0 && oldest.At.After(start) {
		from = oldest.At
	}
	return listeners, ticks, from
}
