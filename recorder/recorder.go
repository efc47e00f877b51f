//go:build linux

// Package recorder is the armed flight recorder: packet rings, vitals and snapshots that
// remember the last seconds, and triggers that make them a bundle. Run is its table of
// contents. What it is made of, in the order in which data passes:
//
//	host     whose machine this is: facts, clocks, network namespace
//	capture  the packets, in rings that the kernel fills
//	source   the kernel's texts, every second, its log, and what is read at a cut
//	probe    the eBPF programs, armed
//	vital    numbers, measured every tick out of probes and texts
//	trace    what the probes told over time
//	ring     the bounded memories that all of these keep the last seconds in
//	trigger  when to cut
//	freeze   cuts all rings at one instant, and writes the bundle
//	control  the socket over which a local user asks and triggers
package recorder

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"time"

	"github.com/spikebox/spikebox/format"
	"github.com/spikebox/spikebox/recorder/capture"
	"github.com/spikebox/spikebox/recorder/control"
	"github.com/spikebox/spikebox/recorder/freeze"
	"github.com/spikebox/spikebox/recorder/host"
	"github.com/spikebox/spikebox/recorder/probe"
	"github.com/spikebox/spikebox/recorder/ring"
	"github.com/spikebox/spikebox/recorder/source"
	"github.com/spikebox/spikebox/recorder/trace"
	"github.com/spikebox/spikebox/recorder/trigger"
	"github.com/spikebox/spikebox/recorder/vital"
)

const (
	// Tick is how often vitals are measured and triggers evaluated.
	Tick = time.Second / ring.TicksPerSecond
	// Snapshots are taken each second while all is well, and ten a second between a
	// trigger and the end of its window.
	snapshotCalm   = time.Second
	snapshotUrgent = 100 * time.Millisecond
	// snapshotBytes holds five minutes of a host with a few dozen CPUs.
	snapshotBytes = 8 << 20
)

// Recorder is one armed recorder. All its methods run in the goroutine of Run.
type Recorder struct {
	cfg      Config
	host     format.Host
	armed    format.Clock
	patterns []*regexp.Regexp // kernel-log lines that are triggers
	probes   *probe.Set
	rings    freeze.Rings
	triggers *trigger.Set
	parsed   []*trigger.Trigger // those of triggers, for status
	since    time.Time          // armed since
	incident *incident          // between a trigger and its cut
	writing  bool               // a bundle is being written
	results  chan result        // of writing
	requests chan format.Trigger
	asked    chan chan<- control.Status
	snapshot *time.Ticker
	store    *freeze.Store
	ledger   *ledger        // nil with Config.DryRun
	kept     time.Time      // when it was written last
	told     []trigger.Held // in the bundle that is being written
	failed   error          // why the last bundle could not be written
	written  int            // bundles
	lost     int            // bundles that could not be written
	last     freeze.Report  // of the last bundle that was written
	ticked   time.Time
}

// Run arms a recorder and keeps it so until ctx is done; then a bundle that is pending is
// cut at once and finished. It fails where the recorder cannot be armed, and with
// Config.Once where the one bundle could not be written.
func Run(ctx context.Context, cfg Config) error {
	triggers, patterns, err := cfg.check()
	if err != nil {
		return err
	}
	server, err := control.Listen(cfg.Control)
	if err != nil {
		return err
	}
	defer server.Close()
	// The socket was taken first: a second recorder on it ends here, and has locked no memory.
	prepare(cfg)
	r, err := arm(cfg, triggers, patterns)
	if err != nil {
		return err
	}
	defer r.close()
	// Served from now on, for only the loop takes questions. Who asked before waits in the
	// socket's backlog, and is answered.
	go server.Serve(r.requests, r.asked)
	defer signals(r.requests)()
	r.say()
	return r.loop(ctx)
}

// prepare makes the bundles' folders and looks after what a killed recorder left there. An
// error does not keep the recorder from being armed: the folder may be mounted later.
func prepare(cfg Config) {
	if cfg.DryRun {
		return
	}
	for _, dir := range cfg.dirs() {
		if err := os.MkdirAll(dir, 0o700); err != nil {
			cfg.Log(fmt.Sprintf("error: make folder for bundles: %v; armed all the same, it will be tried again at a trigger", err))
			continue
		}
		left, err := format.Sweep(dir)
		for _, l := range left {
			if l.Kept == "" {
				cfg.Log("removed what an interrupted recorder left, as nothing of it can be read: " + l.Partial)
				continue
			}
			cfg.Log("kept what an interrupted recorder left of a bundle: " + filepath.Join(dir, l.Kept))
		}
		if err != nil {
			cfg.Log("error: " + err.Error())
		}
	}
}

// arm opens every ring and meter.
func arm(cfg Config, triggers []*trigger.Trigger, patterns []*regexp.Regexp) (*Recorder, error) {
	r := &Recorder{
		cfg: cfg, host: host.Facts(), armed: host.Now().Reading("armed"), since: time.Now(),
		parsed: triggers, patterns: patterns,
		results: make(chan result, 1), requests: make(chan format.Trigger),
		asked: make(chan chan<- control.Status),
	}
	var kept entry
	if !cfg.DryRun {
		r.ledger, kept = openLedger(cfg.Dir, r.host.Name, r.since, cfg.Log)
	}
	r.triggers, r.kept = trigger.NewSet(triggers, cfg.Policy, kept.Triggers), r.since
	for _, err := range r.triggers.Recall(kept.Baselines, r.since) {
		cfg.Log("warning: a baseline begins anew: " + err.Error())
	}
	r.store = freeze.NewStore(r.host.Name, cfg.Retention, cfg.dirs()...)
	packets, err := capture.OpenSet(cfg.packets())
	if err != nil {
		r.close()
		return nil, err
	}
	r.rings.Packets = packets
	absent(cfg)
	if cfg.AllNetNS {
		cfg.Log(ownNetNS)
	}
	snapshots, err := source.OpenSnapshots(cfg.Root, snapshotBytes, cfg.Log)
	if err != nil {
		r.close()
		return nil, err
	}
	r.rings.Snapshots = snapshots
	r.rings.Log = source.OpenKernelLog(cfg.Root, cfg.Log)
	r.probes = openProbes(probe.Options{NetNS: cfg.netns(), LateRTT: lateRTT(triggers)}, cfg.Log)
	window := cfg.Before + cfg.After
	ticks := int(window/Tick) + 8 // some more than the window, for a late cut
	r.rings.Clocks = host.NewTrack(host.Now, ticks)
	r.rings.Trace = trace.New(r.probes, time.Now(), window, r.host.CPUs, cfg.Log)
	r.rings.Listeners = ring.NewListeners(ticks)
	r.rings.Board = vital.Open(vital.Env{
		Root: cfg.Root, Probes: r.probes, Listeners: r.rings.Listeners, Softirq: r.rings.Trace.Softirq,
		Asked: func(vital string) bool {
			return slices.ContainsFunc(triggers, func(t *trigger.Trigger) bool { return t.Watches(vital) })
		},
	}, cfg.Log)
	if err := r.doubt(triggers); err != nil {
		r.close()
		return nil, err
	}
	r.rings.Rows = ring.NewRows(ticks, len(r.rings.Board.Infos()))
	return r, nil
}

// openProbes arms what this kernel allows, and says of the others why not.
func openProbes(o probe.Options, log func(string)) *probe.Set {
	probes := probe.Open(o)
	for _, line := range probes.Refusals() {
		log(line)
	}
	return probes
}

// close gives back what arm opened, which may be a part of it.
func (r *Recorder) close() {
	if r.ledger != nil {
		r.ledger.close()
	}
	if r.rings.Packets != nil {
		r.rings.Packets.Close()
	}
	if r.rings.Snapshots != nil {
		r.rings.Snapshots.Close()
	}
	if r.rings.Log != nil {
		r.rings.Log.Close()
	}
	if r.rings.Board != nil {
		r.rings.Board.Close()
	}
	if r.probes != nil {
		r.probes.Close()
	}
}

// loop is the armed recorder: everything happens here, one thing at a time.
func (r *Recorder) loop(ctx context.Context) error {
	tick := time.NewTicker(Tick)
	defer tick.Stop()
	r.snapshot = time.NewTicker(snapshotCalm)
	defer r.snapshot.Stop()
	for {
		// What takes longer than a tick runs beside the loop and comes back over a channel: so
		// what is kept here needs no lock, and a cut lies between two ticks by itself.
		select {
		case <-ctx.Done():
			return r.stop()
		case <-tick.C:
			r.tick(time.Now())
		case <-r.snapshot.C:
			if err := r.rings.Snapshots.Take(time.Now()); err != nil {
				r.cfg.Log("error: take snapshot: " + err.Error())
			}
		case t := <-r.requests:
			r.fire(t)
		case answer := <-r.asked:
			answer <- r.status()
		case res := <-r.results:
			if r.finish(res); r.cfg.Once {
				return r.failed
			}
		}
	}
}

// tick measures the vitals, evaluates the triggers, and cuts where a window has ended.
func (r *Recorder) tick(now time.Time) {
	r.rings.Clocks.Tick()
	r.rings.Log.Read(r.match)
	// Vitals before the trace: the meter of softirqs hands it what they took, and its Tick
	// may close the second to which that belongs.
	r.rings.Rows.Push(now, r.rings.Board.Read(now))
	r.rings.Trace.Tick(now)
	r.ticked = now
	// Last, so that all of it is in the rings: with --after 0 the cut comes at once, and
	// holds the row and the events that it fired for.
	r.triggers.Step(now, r.rings.Board.Value, r.take)
	if now.Sub(r.kept) >= ledgerEvery {
		r.keep(now)
	}
	// One bundle at a time: while one is written its blocks of the packet rings are held,
	// and capture gives no second cut. A window that ends meanwhile is cut late, and longer.
	if r.incident != nil && !r.writing && !now.Before(r.incident.end) {
		r.cut()
	}
}

// match fires for a line of the kernel log that one of the patterns finds.
func (r *Recorder) match(line *source.LogLine) {
	for _, p := range r.patterns {
		if p.MatchString(line.Text) {
			r.consider("kmsg "+p.String(), format.Trigger{Kind: "kmsg", Expr: p.String(), Reason: line.Text, Time: time.Now()})
		}
	}
}

// stop finishes what is pending when the recorder is told to end. It fails where that is
// lost: what was lost days ago was said then, and is no reason for a service to have failed.
func (r *Recorder) stop() (err error) {
	r.keep(time.Now())
	finish := func() {
		res := <-r.results
		r.finish(res)
		err = errors.Join(err, res.err)
	}
	if r.writing {
		finish()
	}
	if r.incident != nil {
		r.cfg.Log("told to stop: cutting now, before the window's end")
		r.cut()
		finish()
	}
	return err
}
