package ticks

import (
	"math"
	"time"

	"github.com/spikebox/spikebox/analyzer/accesslog"
	"github.com/spikebox/spikebox/analyzer/column"
	"github.com/spikebox/spikebox/analyzer/sketch"
)

// LogPrefix is what the names of all series from servers' logs begin with.
const LogPrefix = "log."

// The durations of a request that have series.
const (
	logTook = iota
	logQueue
	logConnect
	logHeader
	logResponse
	logTimes
)

var logNames = [logTimes]string{"request", "queue", "connect", "header", "response"}

// requestTick is what was logged in one tick.
type requestTick struct {
	requests, failed uint32 // failed: answered with 5xx
	times            [logTimes]sketch.Sketch
}

// Requests counts by ticks what servers log about requests, each when it was answered.
type Requests struct {
	clock clock
	ticks []requestTick
	pool  sketch.Pool
}

// NewRequests counts by a recorder's ticks between two Unix ns. A log that only tells whole seconds is counted by
// these: its requests would all lie in the first tick of each.
func NewRequests(times []int64, start, end int64, fine time.Duration) *Requests {
	r := &Requests{}
	if fine < time.Duration(usual) {
		r.clock = recorderClock(times, start, end)
	} else {
		r.clock = stepClock(start, end, int64(max(fine, time.Second)))
	}
	r.ticks = make([]requestTick, len(r.clock.ends))
	return r
}

// stepClock has ticks that begin at whole steps, or several of them where those are too many.
func stepClock(start, end, step int64) clock {
	if every := (end - start) / step / most; every > 0 {
		step *= every + 1
	}
	c := clock{start: start/step*step - 1}
	for at := c.start; at < end && len(c.ends) < most; {
		at += step
		c.ends = append(c.ends, at)
	}
	return c
}

// Add counts a request; one outside of the ticks is not counted.
func (r *Requests) Add(q *accesslog.Request) {
	i, ok := r.clock.find(q.End)
	if !ok {
		return
	}
	k := &r.ticks[i]
	k.requests++
	if q.Status >= 500 {
		k.failed++
	}
	for which, d := range [logTimes]time.Duration{q.Took, q.Queue, q.Connect, q.Header, q.Response} {
		k.times[which].Add(int64(d), &r.pool) // what the log does not say is negative, and left out
	}
}

// Columns writes what was counted. What was never logged has no column.
func (r *Requests) Columns(c *column.Columns, source string) {
	var logged [logTimes]bool
	failed := false
	for i := range r.ticks {
		failed = failed || r.ticks[i].failed > 0
		for which := range logged {
			logged[which] = logged[which] || r.ticks[i].times[which].N() > 0
		}
	}
	if !logged[logTook] {
		return
	}
	c.Row(source, r.clock.start) // without numbers: what the first tick counts begins here
	for i, end := range r.clock.ends {
		row, ok := c.Row(source, end)
		if !ok {
			continue
		}
		k := &r.ticks[i]
		row.Put(column.Events, "1", float64(k.requests), LogPrefix+"requests")
		if failed {
			row.Put(column.Events, "1", float64(k.failed), LogPrefix+"failed")
		}
		for which, name := range logNames {
			if values := k.times[which].Quantiles(); values.N > 0 {
				for _, q := range quantiles {
					// To the µs, which is what the finest log tells: the sketch knows 0 as less than 64 ns.
					row.Put(column.Gauge, "s", math.Round(q.of(&values)*1e3)/1e6, LogPrefix+name+q.name)
				}
			}
		}
	}
}
