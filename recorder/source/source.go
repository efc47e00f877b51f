//go:build linux

// Package source collects evidence as the kernel gives it: texts that are snapshotted
// every second while the recorder is armed, and one-off sources that are read when the
// rings are cut. Parsing is the analyzer's work.
//
// A new snapshot file is one row in Files; a new one-off source is one file here and
// one line in OneOffs.
package source

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/spikebox/spikebox/format"
	"github.com/spikebox/spikebox/format/member"
	"github.com/spikebox/spikebox/recorder/host"
)

// OneOff is evidence that is collected once, at the cut.
type OneOff struct {
	Name  string // as the manifest names it
	Doc   string
	Limit time.Duration // after which the bundle is written with what it has by then
	// AtTrigger has it collected at the trigger too: for what may be over at the end of
	// the window, and for counters of which the difference is wanted. Members of the same
	// name are joined into one, so they must be in a form of lines.
	AtTrigger bool
	Collect   func(context.Context, Env, *Sink) error

	hanging atomic.Int32 // collections that their limit did not end
}

// Env is what one-off sources need to know of the recorder.
type Env struct {
	Root string // of /proc and /sys: "/", or a fixture tree
	At   string // member.AtTrigger or member.AtEnd
	// ConntrackMax bounds the lines of conntrack.txt; 0 means 200,000.
	ConntrackMax int
	// Clock is what the times of the bundle are on; zero: the wall clock as it stands.
	Clock host.Moment
}

// now is the time for what is read now, Unix ns on the bundle's clock.
func (e Env) now() int64 {
	if e.Clock.At.IsZero() {
		return time.Now().UnixNano()
	}
	return e.Clock.Wall(time.Now()).UnixNano()
}

// OneOffs is every one-off source, most urgent first: what changes while we look at it
// comes before what stays.
var OneOffs = []*OneOff{
	sockets,
	connections,
	processes,
	qdiscs,
	links,
	netfilter,
	sysctls,
	texts,
	nics,
}

// OneOffsAtTrigger are those of OneOffs that are collected at the trigger too.
func OneOffsAtTrigger() []*OneOff {
	var some []*OneOff
	for _, s := range OneOffs {
		if s.AtTrigger {
			some = append(some, s)
		}
	}
	return some
}

// name tells the collection at the trigger from that at the end.
func (s *OneOff) name(env Env) string {
	if env.At == member.AtTrigger {
		return s.Name + "." + member.AtTrigger
	}
	return s.Name
}

// Result is what one source gave.
type Result struct {
	OneOff *OneOff
	Sink   *Sink
	Source format.Source
}

// CollectAll runs all one-off sources at once, each under its own time limit, so that
// one that is stuck never delays the others. Results are in the order of sources.
func CollectAll(ctx context.Context, env Env, sources []*OneOff) []Result {
	results := make([]Result, len(sources))
	pending := make([]<-chan Result, len(sources))
	for i, s := range sources {
		pending[i] = start(ctx, env, s)
	}
	for i := range sources {
		results[i] = <-pending[i]
		results[i].OneOff = sources[i]
	}
	return results
}

// start collects in the background. The channel gets exactly one result, at the latest
// when the limit has passed: a source stuck in the kernel keeps its goroutine, not ours.
func start(ctx context.Context, env Env, s *OneOff) <-chan Result {
	out := make(chan Result, 1)
	// Each one that hangs keeps a thread, so one is not asked again before it has come back.
	if s.hanging.Load() > 0 {
		out <- Result{Sink: &Sink{}, Source: format.Source{Name: s.name(env), State: format.Failed,
			Reason: "it hangs since an earlier bundle asked for it"}}
		return out
	}
	ctx, cancel := context.WithTimeout(ctx, s.Limit)
	done := make(chan Result, 1)
	began, sink := time.Now(), &Sink{}
	// Two goroutines, because a read of /proc or an ioctl does not heed a context: one may stay
	// in the kernel for as long as a driver holds RTNL, the other answers in time.
	go func() { done <- collect(ctx, env, s, sink) }()
	go func() {
		defer cancel()
		select {
		case r := <-done:
			out <- r
		case <-ctx.Done():
			s.hanging.Add(1)
			go func() {
				<-done
				s.hanging.Add(-1)
			}()
			// The source may still write: only what the sink guards is looked at.
			r := s.stopped(env, sink, ctx.Err())
			r.Source.WallNs = int64(time.Since(began))
			out <- r
		}
	}()
	return out
}

func collect(ctx context.Context, env Env, s *OneOff, sink *Sink) Result {
	began := time.Now()
	if err := s.Collect(ctx, env, sink); err != nil {
		r := s.stopped(env, sink, err)
		r.Source.WallNs, r.Source.Details = int64(time.Since(began)), sink.Details
		return r
	}
	source := format.Source{
		Name: s.name(env), State: format.Complete, WallNs: int64(time.Since(began)),
		Lost: sink.Lost, Unit: sink.Unit, Details: sink.Details, Members: sink.names(),
	}
	if sink.Partial != "" || sink.Lost > 0 {
		source.State, source.Reason = format.Partial, sink.Partial
	}
	return Result{Sink: sink, Source: source}
}

// stopped is what a source gave that did not come to its end: what it had by then, and in
// words what is missing.
func (s *OneOff) stopped(env Env, sink *Sink, err error) Result {
	kept, missing := sink.seal()
	r := Result{Sink: kept, Source: format.Source{Name: s.name(env), State: State(err), Reason: err.Error(), Members: kept.names()}}
	late := errors.Is(err, context.DeadlineExceeded)
	switch {
	case len(kept.Members) > 0:
		r.Source.State = format.Partial
		if late {
			r.Source.Reason = fmt.Sprintf("stopped at its time limit of %v", s.Limit)
		}
		r.Source.Reason += "; " + missing
	case late:
		r.Source.State, r.Source.Reason = format.Failed, fmt.Sprintf("gave nothing within %v: %v", s.Limit, err)
	}
	return r
}
