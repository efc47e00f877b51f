//go:build linux

package recorder

// The log has a line for each of these events, whose name JSON has under "event": armed, fired, joined, held_back, would_fire,
// bundle, bundle_lost, shed, restored, interface, log_dropped, drill, on_bundle, disarmed. What else it says has no event. What
// ends a start or a run is said by package cli: error, hint.

import (
	"context"
	"fmt"
	"log/slog"
	"strings"
	"sync/atomic"
	"time"

	"github.com/spikebox/spikebox/format"
	"github.com/spikebox/spikebox/format/unit"
	"github.com/spikebox/spikebox/recorder/freeze"
)

const (
	// logLines is how many lines wait for a reader: more than a burst of 300 interfaces that
	// come at once, and 100 KiB of them.
	logLines = 1024
	// flushMost is how long the end waits for the lines that are left.
	flushMost = 2 * time.Second
)

// lines is a queue before a writer that may block, such as a pipe that nobody reads. To put
// a line into it never does: where it is full the line is dropped and counted.
type lines struct {
	queue   chan func() // each writes a line
	quit    chan struct{}
	dropped atomic.Uint64
}

// newLines makes a queue. Tell, if given, says how many lines were dropped, once the writer has
// caught up.
func newLines(tell func(dropped uint64)) *lines {
	l := &lines{queue: make(chan func(), logLines), quit: make(chan struct{})}
	go l.serve(tell)
	return l
}

// put has write called soon.
func (l *lines) put(write func()) {
	select {
	case l.queue <- write:
	default:
		l.dropped.Add(1)
	}
}

func (l *lines) serve(tell func(uint64)) {
	told := uint64(0)
	for {
		select {
		case write := <-l.queue:
			write()
		case <-l.quit:
			return
		}
		// Behind the lines that had waited: they are older than those that were dropped.
		if dropped := l.dropped.Load(); len(l.queue) == 0 && dropped > told && tell != nil {
			tell(dropped - told)
			told = dropped
		}
	}
}

// flush waits until all is written, but not beyond most, and ends the writer. What is put
// afterwards is lost.
func (l *lines) flush(most time.Duration) {
	defer close(l.quit)
	late := time.After(most)
	written := make(chan struct{})
	select {
	case l.queue <- func() { close(written) }:
	case <-late:
		return
	}
	select {
	case <-written:
	case <-late:
	}
}

// queued is a log whose caller never waits for who reads it.
type queued struct {
	slog.Handler
	lines *lines
}

// Handle has a record written soon.
func (q queued) Handle(ctx context.Context, r slog.Record) error {
	// Its reader is gone, or reads again later: either is no business of who speaks.
	q.lines.put(func() { _ = q.Handler.Handle(ctx, r) })
	return nil
}

// WithAttrs gives the log with attributes, behind the same queue.
func (q queued) WithAttrs(attrs []slog.Attr) slog.Handler {
	return queued{q.Handler.WithAttrs(attrs), q.lines}
}

// WithGroup gives the log with a group, behind the same queue.
func (q queued) WithGroup(name string) slog.Handler {
	return queued{q.Handler.WithGroup(name), q.lines}
}

// unblock puts a queue before each thing that the recorder writes to. The flush that it
// gives ends them.
func (c *Config) unblock() (log *lines, flush func()) {
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	direct := c.Log
	log = newLines(func(dropped uint64) {
		direct.Warn(fmt.Sprintf("the log took nothing for a while: %d lines were dropped", dropped), "event", "log_dropped", "lines", dropped)
	})
	c.Log = slog.New(queued{direct.Handler(), log})
	if c.Written == nil {
		return log, func() { log.flush(flushMost) }
	}
	written, write := newLines(nil), c.Written
	c.Written = func(path string) { written.put(func() { write(path) }) }
	return log, func() {
		written.flush(flushMost)
		log.flush(flushMost)
	}
}

// attrs are those of what fired, by the names of the manifest.
func attrs(event string, t format.Trigger) []any {
	all := []any{"event", event, "trigger", t.Expr, "kind", t.Kind, "at", t.Time.UTC()}
	if t.Kind == "vital" {
		return append(all, "vital", t.Vital, "value", t.Value, "limit", t.Limit, "unit", t.Unit)
	}
	return append(all, "reason", t.Reason)
}

// tell says of a bundle where it is, how large, and what it lacks.
func (r *Recorder) tell(report *freeze.Report) {
	level, lacks := slog.LevelInfo, report.Lacks()
	text := fmt.Sprintf("bundle written: %s (%d bytes, %d packets, durable %v after the cut)",
		report.Path, report.Bytes, report.Packets, report.Durable.Round(time.Millisecond))
	if report.LeftOut != "" {
		level, text = slog.LevelWarn, text+"; that bundle has "+report.LeftOut
	}
	if report.Fallback {
		level, text = slog.LevelWarn, text+"; it is in --fallback-dir, and the next one is tried in --dir again"
	}
	if len(lacks) > 0 {
		text += "; not complete: " + strings.Join(lacks, ", ")
	}
	r.cfg.Log.Log(context.Background(), level, text, "event", "bundle", "path", report.Path, "bytes", report.Bytes,
		"packets", report.Packets, "left_out", report.LeftOut, "fallback", report.Fallback, "incomplete", lacks)
}

// disarmed is the last line.
func (r *Recorder) disarmed() {
	r.cfg.Log.Info(fmt.Sprintf("disarmed after %s: %d bundles written, %d lost", unit.Duration(time.Since(r.since)), r.written, r.lost),
		"event", "disarmed", "bundles", r.written, "lost", r.lost)
}
