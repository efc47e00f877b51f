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
//	budget   what is not recorded where recording costs too much
//	freeze   cuts all rings at one instant, and writes the bundle
//	hook     the operator's command for a bundle that is there
//	drill    the proof that all of this works
//	control  the socket over which a local user asks and triggers
//	metrics  the same for Prometheus
package recorder

import (
	"context"
	"errors"
	"log/slog"
	"regexp"
	"time"

	"github.com/spikebox/spikebox/format"
	"github.com/spikebox/spikebox/recorder/budget"
	"github.com/spikebox/spikebox/recorder/capture"
	"github.com/spikebox/spikebox/recorder/control"
	"github.com/spikebox/spikebox/recorder/freeze"
	"github.com/spikebox/spikebox/recorder/hook"
	"github.com/spikebox/spikebox/recorder/host"
	"github.com/spikebox/spikebox/recorder/metrics"
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
	// snapshotLate is how much older than a bundle's window snapshots may be: while it is cut the next are taken.
	snapshotLate = 10 * time.Second
)

// Recorder is one armed recorder. All its methods run in the goroutine of Run.
type Recorder struct {
	cfg      Config
	host     format.Host
	armed    format.Clock
	patterns []*regexp.Regexp        // kernel-log lines that are triggers
	asks     func(vital string) bool // see Config.asked
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
	reloads  <-chan reloaded
	snapshot *time.Ticker
	budget   *budget.Budget // nil: no limit
	works    map[string]budget.Work
	sheds    *sheds // nil without
	store    *freeze.Store
	ledger   *ledger        // nil with Config.DryRun
	kept     time.Time      // when it was written last
	told     []trigger.Held // in the bundle that is being written
	called   string         // what the log has told that this host is called now
	failed   error          // why the last bundle could not be written
	written  int            // bundles
	lost     int            // bundles that could not be written
	last     freeze.Report  // of the last bundle that was written
	ticked   time.Time
	missed   int       // ticks that did not come
	looked   time.Time // whether the rings reach back far enough
	shorts   []string  // those that did not then
	stopping bool      // told to end, and finishing what is pending
	log      *lines    // behind Config.Log
	hook     *hook.Hook
	drills   chan chan<- control.Drill
	drilled  chan *drilling // that have done what they do beside the loop
	due      *drilling      // to be knocked for, or to be cut for
	ticks    int
	drilling bool
	drill    *control.Drill // the last
	manager  *manager
}

// Run arms a recorder and keeps it so until ctx is done or a signal says so; then a bundle
// that is pending is cut at once and finished. It fails where the recorder cannot be armed,
// and with Config.Once where the one bundle could not be written.
func Run(ctx context.Context, cfg Config) error {
	log, flush := cfg.unblock()
	defer flush()
	requests := make(chan format.Trigger)
	reloads := make(chan reloaded)
	ctx, deaf := hear(ctx, requests, cfg.rereads(reloads), cfg.Log)
	defer deaf()
	triggers, patterns, err := cfg.check()
	if err == nil {
		err = cfg.limits()
	}
	if err != nil {
		return err
	}
	server, err := control.Listen(cfg.Control)
	if err != nil {
		return err
	}
	defer server.Close()
	scraped, err := metrics.Listen(cfg.Metrics)
	if err != nil {
		return err
	}
	defer scraped.Close()
	// The socket was taken first: a second recorder on it ends here, and has locked no memory.
	r, err := arm(cfg, triggers, patterns, prepare(cfg))
	if err != nil {
		return err
	}
	defer r.close()
	if err := openFiles(); err != nil {
		return err
	}
	relax()
	r.requests, r.reloads, r.log = requests, reloads, log
	// Served from now on, for only the loop takes questions. Who asked before waits in the
	// socket's backlog, and is answered.
	go server.Serve(control.Loop{Triggers: r.requests, Asked: r.asked, Drills: r.drills})
	go scraped.Serve(r.asked)
	r.say()
	go r.cfg.sayUnseen()
	r.manager.armed(r)
	r.hook = hook.New(cfg.OnBundle, cfg.OnBundleTimeout, cfg.Home, cfg.Log)
	defer r.hook.Close()
	defer r.disarmed()
	return r.loop(ctx)
}

// arm opens every ring and meter. Without a folder that answers it keeps no ledger.
func arm(cfg Config, triggers []*trigger.Trigger, patterns []*regexp.Regexp, folder bool) (*Recorder, error) {
	r := &Recorder{
		cfg: cfg, host: host.Facts(), armed: host.Now().Reading("armed"), since: time.Now(),
		parsed: triggers, patterns: patterns, asks: cfg.asked(triggers),
		results: make(chan result, 1), asked: make(chan chan<- control.Status), manager: newManager(),
		drills: make(chan chan<- control.Drill), drilled: make(chan *drilling, 1),
	}
	var kept entry
	if !cfg.DryRun && folder {
		r.ledger, kept = openLedger(cfg.Dir, r.host.Name, r.since, cfg.Log)
	}
	r.triggers, r.kept = trigger.NewSet(triggers, cfg.Policy, kept.Triggers), r.since
	for _, err := range r.triggers.Recall(kept.Baselines, r.since) {
		cfg.Log.Warn("a baseline begins anew: " + err.Error())
	}
	r.store = freeze.NewStore(r.host.Name, cfg.Retention, cfg.dirs()...)
	packets, refused := capture.OpenSet(cfg.packets())
	if cfg.insists(refused) {
		r.close()
		return nil, refused
	}
	r.rings.Packets, r.rings.NoPackets = packets, refused
	absent(cfg)
	var err error
	if r.rings.Snapshots, err = source.OpenSnapshots(cfg.Root, snapshotBytes, cfg.Before+cfg.After+snapshotLate, cfg.Log); err != nil {
		r.close()
		return nil, err
	}
	r.rings.Log = source.OpenKernelLog(cfg.Root, cfg.Log)
	r.probes = openProbes(probe.Options{NetNS: cfg.netns(), LateRTT: lateRTT(triggers)}, cfg.Log)
	window := cfg.Before + cfg.After
	ticks := int(window/Tick) + 8 // some more than the window, for a late cut
	r.rings.Clocks = host.NewTrack(host.Now, ticks)
	r.rings.Trace = trace.New(r.probes, time.Now(), window, r.host.CPUs, cfg.Log)
	r.rings.Listeners = ring.NewListeners(ticks)
	peers := vital.NewPeers(r.probes.Names)
	r.rings.Trace.Heed = peers.Heed
	r.rings.Board = vital.Open(vital.Env{
		Root: cfg.Root, Probes: r.probes, Listeners: r.rings.Listeners, Softirq: r.rings.Trace.Softirq,
		Asked: func(vital string) bool { return r.asks(vital) }, Peers: peers, Passing: passing(packets), Through: throughOf(packets),
	}, cfg.Log)
	if err := r.hopeless(triggers, patterns); err != nil {
		r.close()
		return nil, err
	}
	r.doubt(triggers)
	r.rings.Rows = ring.NewRows(ticks, len(r.rings.Board.Infos()))
	r.limit()
	if refused != nil {
		if !r.recordsAnything() {
			r.close()
			return nil, refused
		}
		cfg.Log.Warn("packets are not recorded: " + freeze.Refusal(refused))
	}
	r.since = time.Now() // now that all is open: no window begins before, and lacks some
	return r, nil
}

// passing gives what the programs on the interfaces note of what is forwarded; nil where there are none.
func passing(set *capture.Set) vital.Passing {
	if set == nil || set.Passing() == nil {
		return nil
	}
	return set.Passing()
}

// throughOf gives who looks at the headers of what is forwarded; nil where no program on the interfaces writes them.
func throughOf(set *capture.Set) vital.Through {
	if set == nil || set.Passing() == nil {
		return nil
	}
	return set
}

// openProbes arms what this kernel allows, and says of the others why not.
func openProbes(o probe.Options, log *slog.Logger) *probe.Set {
	probes := probe.Open(o)
	for _, line := range probes.Refusals() {
		log.Info(line)
	}
	return probes
}

// close gives back what arm opened, which may be a part of it.
func (r *Recorder) close() {
	r.manager.close()
	if r.ledger != nil {
		r.ledger.close()
	}
	if r.rings.Packets != nil {
		r.rings.Packets.Close()
	}
	if r.rings.Trace != nil {
		r.rings.Trace.Close()
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
	r.budget.Close()
	// Programs that the kernel is busy with go when the process does.
	if r.sheds.close() && r.probes != nil {
		r.probes.Close()
	}
}

// recordsAnything says whether there is a vital or a text without the packets.
func (r *Recorder) recordsAnything() bool {
	for _, c := range r.rings.Board.Columns() {
		if c.Source != "" {
			return true
		}
	}
	return r.rings.Snapshots.Any()
}

// loop is the armed recorder: everything happens here, one thing at a time. Nothing that it
// does may wait for long: see rounds, lines, and the goroutines that hand over by channels.
func (r *Recorder) loop(ctx context.Context) (err error) {
	tick := time.NewTicker(Tick)
	defer tick.Stop()
	r.snapshot = time.NewTicker(snapshotCalm)
	defer r.snapshot.Stop()
	told := ctx.Done()
	for !r.stopping || r.incident != nil || r.writing || r.drilling {
		// What takes longer than a tick runs beside the loop and comes back over a channel: so
		// what is kept here needs no lock, and a cut lies between two ticks by itself.
		select {
		case <-told:
			told = nil
			r.stop(context.Cause(ctx))
		case <-tick.C:
			r.tick(time.Now())
		case <-r.snapshot.C:
			r.rings.Snapshots.Ask(time.Now())
		case t := <-r.requests:
			r.fire(t)
		case next := <-r.mayReload():
			r.reload(next)
		case <-r.full():
			r.spill()
		case s := <-r.sheds.ended():
			r.shedded(s)
		case answer := <-r.asked:
			answer <- r.status()
		case answer := <-r.drills:
			r.startDrill(answer)
		case d := <-r.drilled:
			r.continueDrill(d)
		case res := <-r.results:
			if r.finish(res); r.cfg.Once {
				return r.failed
			}
			// What was lost days ago was said then, and is no reason for a service to have failed.
			if r.stopping {
				err = errors.Join(err, res.err)
			}
		}
	}
	return err
}

// tick measures the vitals, evaluates the triggers, and cuts where a window has ended.
func (r *Recorder) tick(now time.Time) {
	r.manager.alive(now)
	r.rings.Clocks.Tick()
	r.count(now)
	r.rings.Log.Read(r.match)
	// Vitals before the trace: the meter of softirqs hands it what they took, and its Tick
	// closes what belongs to this one.
	r.rings.Rows.Push(now, r.rings.Board.Read(now))
	r.rings.Trace.Tick(now)
	// Last, so that all of it is in the rings: with --after 0 the cut comes at once, and
	// holds the row and the events that it fired for.
	r.triggers.Step(now, r.rings.Board.Value, r.take)
	if r.triggers.Began(now) {
		r.rings.Trace.Split()
	}
	if now.Sub(r.kept) >= ledgerEvery {
		r.keep(now)
	}
	r.drillTick()
	r.budget.Tick(now, r.incident != nil || r.writing)
	r.warn(now)
	// One bundle at a time: while one is written its blocks of the packet rings are held,
	// and capture gives no second cut. A window that ends meanwhile is cut late, and longer.
	if r.incident != nil && !r.writing && (r.stopping || !now.Before(r.incident.end)) {
		r.cut()
	}
}

// count counts the ticks that did not come, because the loop or the whole process stood.
func (r *Recorder) count(now time.Time) {
	if !r.ticked.IsZero() {
		// Rounded: the ticker does not move, so that a late tick is followed by an early one.
		r.missed += max(0, int((now.Sub(r.ticked)+Tick/2)/Tick)-1)
	}
	r.ticked = now
}

// match fires for a line of the kernel log that one of the patterns finds.
func (r *Recorder) match(line *source.LogLine) {
	for _, p := range r.patterns {
		if p.MatchString(line.Text) {
			r.consider("kmsg "+p.String(), format.Trigger{Kind: "kmsg", Expr: p.String(), Reason: line.Text, Time: time.Now()})
		}
	}
}

// stop has the loop end when what is pending is finished. It goes on until then, so that
// status tells what it waits for.
func (r *Recorder) stop(cause error) {
	r.stopping = true
	r.manager.stopping()
	r.keep(time.Now())
	switch {
	case r.incident != nil:
		r.cfg.Log.Info(cause.Error() + ": cutting now, before the window's end")
		if !r.writing { // else the next tick cuts
			r.cut()
		}
	case r.writing:
		r.cfg.Log.Info(cause.Error() + ": finishing the bundle that is being written")
	default:
		r.cfg.Log.Info(cause.Error())
	}
}
