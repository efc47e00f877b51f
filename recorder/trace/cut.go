//go:build linux

package trace

import (
	"bufio"
	"fmt"
	"io"
	"time"

	"github.com/spikebox/spikebox/format/member"
	"github.com/spikebox/spikebox/recorder/host"
	"github.com/spikebox/spikebox/recorder/probe"
)

// Cut is what the rings held of a window. It stays as it is while recording goes on.
type Cut struct {
	start, end time.Time
	clock      host.Moment // that the bundle's times are on
	events     []probe.Event
	stacks     []sample
	latencies  []Latency
	drops      []drop
	period     time.Duration // between two samples of a CPU
	probes     *probe.Set
	symbols    *probe.Symbols
}

// Cut copies the window's records; rendering them is left to the cut. The second that has
// not ended is cut with it, because what fired may lie in it: with --after 0 all of it does.
func (r *Recording) Cut(start, end time.Time, clock host.Moment) *Cut {
	r.note("events", r.readEvents())
	r.endAll()
	r.note("function", r.readFunctions())
	r.advance(end)
	r.mu.Lock()
	r.settle()
	r.mu.Unlock()
	r.finish(end, end)
	c := &Cut{start: start, end: end, clock: clock, probes: r.probes}
	// Events carry CLOCK_MONOTONIC, what is kept by the second carries Go's times.
	from, to := clock.Mono(start), clock.Mono(end)
	within := func(mono int64) bool { return mono >= from && mono <= to }
	r.events.Each(func(e *probe.Event) {
		if within(e.Time) {
			c.events = append(c.events, *e)
		}
	})
	r.stacks.Each(func(s *sample) {
		if within(s.at) {
			c.stacks = append(c.stacks, *s)
		}
	})
	r.latencies.Each(func(l *Latency) {
		if !l.At.Before(start) {
			c.latencies = append(c.latencies, *l)
		}
	})
	r.drops.Each(func(d *drop) {
		if !d.at.Before(start) {
			c.drops = append(c.drops, *d)
		}
	})
	if r.probes.Stacks != nil {
		c.period = r.probes.Stacks.Period
	}
	return c
}

// Resolve names the code addresses of the cut, which takes some 50 ms where there are
// any. An error says why addresses stay numbers.
func (c *Cut) Resolve() (err error) {
	var addresses []uint64
	for i := range c.events {
		if c.events[i].Place != 0 {
			addresses = append(addresses, c.events[i].Place)
		}
	}
	for _, d := range c.drops {
		addresses = append(addresses, d.cause.place)
	}
	for i := range c.stacks {
		addresses = append(addresses, c.stacks[i].frames[:c.stacks[i].n]...)
	}
	c.symbols = &probe.Symbols{}
	if len(addresses) > 0 {
		c.symbols, err = c.probes.Symbols(addresses)
	}
	return err
}

func (c *Cut) wall(at time.Time) int64 { return c.clock.Place(c.clock.Mono(at)) }

// WriteEvents writes events.jsonl.
func (c *Cut) WriteEvents(w io.Writer) error {
	return lines(w, member.NewEventWriter, len(c.events), func(i int) *member.Event { return c.event(&c.events[i]) })
}

func (c *Cut) event(e *probe.Event) *member.Event {
	line := &member.Event{
		Time: c.clock.Place(e.Time), Kind: e.Kind.String(), CPU: int(e.CPU), NetNS: uint64(e.NetNS), Protocol: e.Proto,
		State: probe.StateName(e.State), Seq: e.Seq, SeqLen: e.SeqLen, Retries: int(e.Retries),
		SYNQueue: e.SYNQueue, DurationNs: int64(e.Duration), AtLeast: e.Untimed,
	}
	if e.Local.IsValid() {
		line.Local, line.LocalPort = e.Local.Addr(), e.Local.Port()
	}
	if e.Remote.IsValid() {
		line.Remote, line.RemotePort = e.Remote.Addr(), e.Remote.Port()
	}
	switch e.Kind { // reasons have other numbers in each kernel: a reader can use the name only
	case probe.Drop:
		line.Reason, line.Place = c.probes.Names.Drop(e.Reason), c.symbols.Name(e.Place)
	case probe.ResetSent:
		line.Reason = c.probes.Names.Reset(e.Reason)
	case probe.LongSoftirq:
		line.Vector = probe.VectorName(int(e.Reason))
	}
	return line
}

// WriteLatencies writes softirq.jsonl.
func (c *Cut) WriteLatencies(w io.Writer) error {
	return lines(w, member.NewLatencyWriter, len(c.latencies), func(i int) *member.Latency {
		l := &c.latencies[i]
		buckets := l.D.Bucket[:]
		for len(buckets) > 0 && buckets[len(buckets)-1] == 0 {
			buckets = buckets[:len(buckets)-1]
		}
		return &member.Latency{Time: c.wall(l.At), CPU: l.CPU, Kind: l.Kind, Name: l.Name, Count: l.D.Count,
			SumNs: int64(l.D.Sum), MaxNs: int64(l.D.Max), Buckets: buckets, TimedNs: int64(l.Timed), Met: l.Met}
	})
}

// WriteDrops writes drops.csv: what each place in the kernel dropped in each second.
func (c *Cut) WriteDrops(w io.Writer) error { return c.writeDrops(w, false) }

// WriteUnattributed writes drops-unattributed.csv: those that may be any namespace's.
func (c *Cut) WriteUnattributed(w io.Writer) error { return c.writeDrops(w, true) }

func (c *Cut) writeDrops(w io.Writer, unattributed bool) error {
	out := []byte(member.DropsHeader)
	for _, d := range c.drops {
		if d.cause.unattributed != unattributed {
			continue
		}
		line := member.Drop{Time: c.wall(d.at), Reason: c.probes.Names.Drop(d.cause.reason), Place: c.symbols.Name(d.cause.place), Count: d.count}
		out = line.Append(out)
	}
	_, err := w.Write(out)
	return err
}

// lines writes n rows.
func lines[T any](w io.Writer, rows func(io.Writer) *member.Writer[T], n int, row func(int) *T) error {
	buf := bufio.NewWriter(w)
	out := rows(buf)
	for i := range n {
		if err := out.Write(row(i)); err != nil {
			return fmt.Errorf("encode line %d: %w", i+1, err)
		}
	}
	return buf.Flush()
}
