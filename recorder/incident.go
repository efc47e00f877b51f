//go:build linux

package recorder

import (
	"context"
	"fmt"
	"os"
	"runtime/debug"
	"time"

	"github.com/spikebox/spikebox/format"
	"github.com/spikebox/spikebox/format/member"
	"github.com/spikebox/spikebox/recorder/freeze"
	"github.com/spikebox/spikebox/recorder/host"
	"github.com/spikebox/spikebox/recorder/source"
)

// joinedMost bounds the triggers of one bundle, for a script that sends signals in a loop.
const joinedMost = 100

// incident is a trigger whose window has not ended yet. Triggers that fire meanwhile join it.
type incident struct {
	at     time.Time // of the first trigger, with its monotonic reading
	first  format.Trigger
	joined []format.Trigger
	end    time.Time
	clock  format.Clock
	usual  []format.Baseline      // what factors compare with
	early  <-chan []source.Result // of the one-off sources that are collected at the trigger
}

// result is what became of a bundle.
type result struct {
	report freeze.Report
	err    error
}

// fire begins an incident, or joins the one that goes on.
func (r *Recorder) fire(t format.Trigger) {
	// Two instants of one trigger. What is shown is UTC, and UTC drops the monotonic reading;
	// the window is reckoned from the one that has it. A clock that is set meanwhile, which may
	// be the incident, would else end the window at once, or never.
	at := t.Time
	t.Time = at.UTC()
	if r.cfg.DryRun {
		r.cfg.Log("would fire: " + describe(t))
		return
	}
	if r.incident != nil && len(r.incident.joined) >= joinedMost {
		return
	}
	if r.incident != nil {
		r.incident.joined = append(r.incident.joined, t)
		r.cfg.Log("joins the bundle: " + describe(t))
		return
	}
	r.cfg.Log(fmt.Sprintf("triggered: %s; cutting in %v", describe(t), r.cfg.After))
	r.incident = &incident{
		at: at, first: t, end: at.Add(r.cfg.After), clock: host.Clock("trigger"),
		usual: r.triggers.Baselines(at),
		early: collectEarly(r.cfg.sources()),
	}
	r.snapshot.Reset(snapshotUrgent)
}

// collectEarly collects in the background what must be seen as it is at the trigger.
func collectEarly(env source.Env) <-chan []source.Result {
	out := make(chan []source.Result, 1)
	go func() {
		env.At = member.AtTrigger
		out <- source.CollectAll(context.Background(), env, source.OneOffsAtTrigger())
	}()
	return out
}

// cut takes the rings and writes the bundle in the background.
func (r *Recorder) cut() {
	in := r.incident
	r.incident = nil
	r.snapshot.Reset(snapshotCalm)
	// Once more: with --after 0 the last texts would be of up to a second before the trigger.
	if err := r.rings.Snapshots.Take(time.Now()); err != nil {
		r.cfg.Log("error: take snapshot: " + err.Error())
	}
	start := in.at.Add(-r.cfg.Before)
	if start.Before(r.since) {
		start = r.since
	}
	began := time.Now()
	held, err := freeze.Take(r.rings, freeze.Request{
		Env: r.cfg.sources(), Dir: r.cfg.Dir, Manifest: r.manifest(in),
		Start: start, Trigger: in.at, Early: in.early,
	})
	// Set where the cut fails, too: the failure comes back over results like any other.
	r.writing = true
	if err != nil {
		r.results <- result{err: err}
		return
	}
	r.cfg.Log(fmt.Sprintf("rings cut in %v; recording goes on", time.Since(began).Round(10*time.Microsecond)))
	go func() { r.results <- r.write(held) }()
}

// write makes room and writes. It runs beside the loop and touches only what is its own.
func (r *Recorder) write(held *freeze.Held) result {
	defer held.Close()
	if err := os.MkdirAll(r.cfg.Dir, 0o700); err != nil {
		return result{err: fmt.Errorf("make folder for bundles: %w", err)}
	}
	removed, err := r.cfg.Retention.Prune(r.cfg.Dir)
	for _, path := range removed {
		r.cfg.Log("removed an old bundle to make room: " + path)
	}
	if err != nil {
		return result{err: err}
	}
	report, err := held.Write(context.Background())
	held.Close()
	debug.FreeOSMemory() // what a host with 100,000 sockets took is not ours between two bundles
	return result{report: report, err: err}
}

// finish tells what became of a bundle.
func (r *Recorder) finish(res result) {
	r.writing = false
	r.failed = res.err
	if res.err != nil {
		r.lost++
		r.cfg.Log(fmt.Sprintf("error: bundle lost: %v; still armed", res.err))
		return
	}
	r.cfg.Log(fmt.Sprintf("bundle written: %s (%d bytes, %d packets, durable %v after the cut)",
		res.report.Path, res.report.Bytes, res.report.Packets, res.report.Durable.Round(time.Millisecond)))
	r.written++
	r.last = res.report.Path
	if r.cfg.Written != nil {
		r.cfg.Written(res.report.Path)
	}
}

func (r *Recorder) manifest(in *incident) format.Manifest {
	var warnings []string
	if r.cfg.AllNetNS {
		warnings = append(warnings, ownNetNS)
	}
	return format.Manifest{
		Warnings: warnings,
		Recorder: r.cfg.Build, Host: r.host, Config: r.cfg.Flags,
		Trigger: in.first, Joined: in.joined,
		Clocks: []format.Clock{r.armed, in.clock}, Baselines: in.usual,
	}
}
