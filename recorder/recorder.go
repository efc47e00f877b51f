//go:build linux

// Package recorder is the armed flight recorder: packet rings, vitals and snapshots that
// remember the last seconds, and triggers that make them a bundle. Run is its table of
// contents.
package recorder

import (
	"context"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/spikebox/spikebox/format"
	"github.com/spikebox/spikebox/recorder/capture"
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
	// Tick is how often vitals are measured and triggers evaluated: a quarter of the
	// shortest thing that TCP itself waits for at a handshake.
	Tick = 250 * time.Millisecond
	// Snapshots are taken each second while all is well, and ten a second between a
	// trigger and the end of its window.
	snapshotCalm   = time.Second
	snapshotUrgent = 100 * time.Millisecond
	// snapshotBytes holds five minutes of a host with a few dozen CPUs.
	snapshotBytes = 8 << 20
	// listenersPerTick is the room for busy listeners: a proxy has a handful.
	listenersPerTick = 8
)

// Recorder is one armed recorder. All its methods run in the goroutine of Run.
type Recorder struct {
	cfg      Config
	host     format.Host
	armed    format.Clock
	patterns []*regexp.Regexp // kernel-log lines that are triggers
	rings    freeze.Rings
	triggers *trigger.Set
	since    time.Time   // armed since
	incident *incident   // between a trigger and its cut
	writing  bool        // a bundle is being written
	results  chan result // of writing
	requests chan format.Trigger
	asked    chan chan<- Status
	snapshot *time.Ticker
	failed   error  // why the last bundle could not be written
	written  int    // bundles
	lost     int    // bundles that could not be written
	last     string // path of the last bundle
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
	control, err := listen(cfg.Control)
	if err != nil {
		return err
	}
	defer control.Close()
	prepare(cfg)
	r, err := arm(cfg, triggers, patterns)
	if err != nil {
		return err
	}
	defer r.close()
	go control.serve(r.requests, r.asked)
	defer signals(r.requests)()
	r.say()
	return r.loop(ctx)
}

// prepare makes the bundles' folder and clears what a killed recorder left in it. An
// error does not keep the recorder from being armed: the folder may be mounted later.
func prepare(cfg Config) {
	if cfg.DryRun {
		return
	}
	if err := os.MkdirAll(cfg.Dir, 0o700); err != nil {
		cfg.Log(fmt.Sprintf("error: make folder for bundles: %v; armed all the same, it will be tried again at a trigger", err))
		return
	}
	left, err := format.Sweep(cfg.Dir)
	for _, l := range left {
		if l.Kept == "" {
			cfg.Log("removed what an interrupted recorder left, as nothing of it can be read: " + l.Partial)
			continue
		}
		cfg.Log("kept what an interrupted recorder left of a bundle: " + filepath.Join(cfg.Dir, l.Kept))
	}
	if err != nil {
		cfg.Log("error: " + err.Error())
	}
}

// arm opens every ring and meter.
func arm(cfg Config, triggers []*trigger.Trigger, patterns []*regexp.Regexp) (*Recorder, error) {
	r := &Recorder{
		cfg: cfg, host: host.Facts(), armed: host.Clock("armed"), since: time.Now(),
		triggers: trigger.NewSet(triggers, cfg.Policy), patterns: patterns,
		results: make(chan result, 1), requests: make(chan format.Trigger),
		asked: make(chan chan<- Status),
	}
	packets, err := capture.OpenSet(cfg.packets())
	if err != nil {
		return nil, err
	}
	r.rings.Packets = packets
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
	ticks := int((cfg.Before+cfg.After)/Tick) + 8 // some more than the window, for a late cut
	r.rings.Listeners = ring.NewNewest[ring.Listener](ticks * listenersPerTick)
	r.rings.Kernel = trace.Open(trace.Options{
		Options: probe.Options{NetNS: cfg.netns(), LateRTT: lateRTT(triggers)},
		Window:  cfg.Before + cfg.After, CPUs: r.host.CPUs,
	}, cfg.Log)
	r.rings.Board = vital.Open(vital.Env{
		Root: cfg.Root, Kernel: r.rings.Kernel, Listeners: r.rings.Listeners,
	}, cfg.Log)
	r.rings.Rows = ring.NewRows(ticks, len(r.rings.Board.Infos()))
	return r, nil
}

func (r *Recorder) close() {
	r.rings.Packets.Close()
	if r.rings.Snapshots != nil {
		r.rings.Snapshots.Close()
	}
	if r.rings.Log != nil {
		r.rings.Log.Close()
	}
	if r.rings.Board != nil {
		r.rings.Board.Close()
	}
	if r.rings.Kernel != nil {
		r.rings.Kernel.Close()
	}
}

// say tells the operator, in one line, what is armed.
func (r *Recorder) say() {
	r.cfg.Log(fmt.Sprintf("armed on %s: %s; %v before and %v after, bundles in %s",
		r.interfaces(), strings.Join(r.watched(), ", "), r.cfg.Before, r.cfg.After, r.cfg.Dir))
}

// watched is what fires.
func (r *Recorder) watched() []string {
	what := slices.Clone(r.cfg.expressions())
	for _, p := range r.patterns {
		what = append(what, "kernel log ~ "+p.String())
	}
	return what
}

// interfaces names what is recorded.
func (r *Recorder) interfaces() string {
	var names []string
	for _, s := range r.rings.Packets.Status() {
		if s.RingBytes > 0 {
			names = append(names, s.Name)
		}
	}
	if len(names) == 0 {
		return "no interface yet"
	}
	return strings.Join(names, ", ")
}

// status tells of the recorder as it is between two ticks.
func (r *Recorder) status() Status {
	s := Status{
		Program: r.cfg.Build.Program + " " + r.cfg.Build.Version, PID: os.Getpid(), Host: r.host.Name,
		Armed: r.since.UTC(), LastTick: r.ticked.UTC(), Triggers: r.watched(), Vitals: map[string]float64{},
		Pending: r.incident != nil || r.writing, Bundles: r.written, LastBundle: r.last, Lost: r.lost,
		Suppressed: r.triggers.Suppressed,
	}
	if r.failed != nil {
		s.LastError = r.failed.Error()
	}
	for _, i := range r.rings.Packets.Status() {
		s.Interfaces = append(s.Interfaces, InterfaceStatus{Name: i.Name, State: string(i.State), Reason: i.Reason,
			Covered: i.Covered.UTC(), Ring: i.RingBytes, Packets: i.Packets, Lost: i.Drops})
	}
	for _, info := range r.rings.Board.Infos() {
		if v := r.rings.Board.Value(info.Name); !math.IsNaN(v) {
			s.Vitals[info.Name] = v
		}
	}
	s.Sources = append(r.rings.Board.Sources(), r.rings.Snapshots.Source())
	s.Sources = append(s.Sources, r.rings.Kernel.Sources(r.since)...)
	return s
}

// loop is the armed recorder: everything happens here, one thing at a time.
func (r *Recorder) loop(ctx context.Context) error {
	tick := time.NewTicker(Tick)
	defer tick.Stop()
	r.snapshot = time.NewTicker(snapshotCalm)
	defer r.snapshot.Stop()
	for {
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
	r.rings.Log.Read(r.match)
	r.rings.Kernel.Tick(now)
	row := r.rings.Board.Read(now)
	r.rings.Rows.Push(now, row)
	r.ticked = now
	for _, f := range r.triggers.Step(now, r.rings.Board.Value) {
		r.fire(fired(f))
	}
	if r.incident != nil && !r.writing && !now.Before(r.incident.end) {
		r.cut()
	}
}

// match fires for a line of the kernel log that one of the patterns finds.
func (r *Recorder) match(line *source.LogLine) {
	for _, p := range r.patterns {
		now := time.Now()
		if p.MatchString(line.Text) && r.triggers.Allow("kmsg "+p.String(), now) {
			r.fire(format.Trigger{Kind: "kmsg", Expr: p.String(), Reason: line.Text, Time: now})
		}
	}
}

// stop finishes what is pending when the recorder is told to end.
func (r *Recorder) stop() error {
	if r.writing {
		r.finish(<-r.results)
	}
	if r.incident != nil {
		r.cfg.Log("told to stop: cutting now, before the window's end")
		r.cut()
		r.finish(<-r.results)
	}
	return r.failed
}
