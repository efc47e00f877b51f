//go:build linux

package recorder

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"strconv"
	"time"

	"github.com/spikebox/spikebox/format"
	"github.com/spikebox/spikebox/format/member"
	"github.com/spikebox/spikebox/format/unit"
	"github.com/spikebox/spikebox/recorder/capture"
	"github.com/spikebox/spikebox/recorder/freeze"
	"github.com/spikebox/spikebox/recorder/host"
	"github.com/spikebox/spikebox/recorder/source"
	"github.com/spikebox/spikebox/recorder/trigger"
)

// joinedMost bounds the triggers of one bundle, for a script that sends signals in a loop.
const joinedMost = 100

// snapshotPatience is how long a cut waits for a last snapshot: half a tick, and many times
// what one takes where nothing hangs.
const snapshotPatience = Tick / 2

// incident is a trigger whose window has not ended yet. Triggers that fire meanwhile join it.
type incident struct {
	at     time.Time // of the first trigger, with its monotonic reading
	first  format.Trigger
	joined []format.Trigger
	end    time.Time
	clock  host.Moment            // the bundle's: as it stood at the trigger
	read   format.Clock           // the same, for the manifest
	usual  []format.Baseline      // what factors compare with
	early  <-chan []source.Result // of the one-off sources that are collected at the trigger
	// packets were cut when the rings had no room for more beside what was before the trigger; nil: they have it.
	packets *freeze.Packets
}

// result is what became of a bundle.
type result struct {
	report  freeze.Report
	trigger format.Trigger
	err     error
}

// take fires for what a trigger asks about unless the policy holds it back.
func (r *Recorder) take(f trigger.Fired) bool {
	ok, muted := r.triggers.Grant(f, r.incident != nil)
	r.answer(ok, muted, fired(f))
	return ok
}

// consider fires for what expr names unless the policy holds it back.
func (r *Recorder) consider(expr string, t format.Trigger) {
	ok, muted := r.triggers.Allow(expr, t.Time, r.incident != nil)
	r.answer(ok, muted, t)
}

// answer does what the policy says of a firing.
func (r *Recorder) answer(ok bool, muted *trigger.Held, t format.Trigger) {
	if muted != nil {
		r.cfg.Log.Info(fmt.Sprintf("held back until %s by --%s: %s", muted.Until.UTC().Format(time.RFC3339), muted.Reason, describe(t)),
			append(attrs("held_back", t), "until", muted.Until.UTC(), "by", muted.Reason)...)
	}
	if !ok {
		return
	}
	r.keep(time.Now())
	r.fire(t)
}

// renamed tells once of a name that this host was given since arming, as at a boot: what the recorder keeps goes by the name that it had.
func (r *Recorder) renamed() {
	name := host.Facts().Name
	if name == r.host.Name || r.called == name {
		return
	}
	r.called = name
	r.cfg.Log.Warn(fmt.Sprintf("this host is %s now; bundles, and --keep, go by %s, its name at arming, until a restart", name, r.host.Name))
}

// keep writes down what outlives the recorder.
func (r *Recorder) keep(now time.Time) {
	if r.ledger != nil {
		r.kept = now
		r.ledger.put(r.triggers.Spent(now), r.triggers.Baselines(now), now)
	}
}

// heldBack is what the policy holds back, in the manifest's form.
func heldBack(all []trigger.Held) []format.HeldBack {
	var out []format.HeldBack
	for _, h := range all {
		out = append(out, format.HeldBack{
			Trigger: h.Trigger, Count: h.Count, Since: h.Since.UTC(), Until: h.Until.UTC(), Reason: h.Reason,
		})
	}
	return out
}

// fire begins an incident, or joins the one that goes on.
func (r *Recorder) fire(t format.Trigger) {
	// Two instants of one trigger. What is shown is on the bundle's clock, which is the wall
	// clock as it stands now; the window is reckoned from the one that has the monotonic reading.
	// A clock that is set meanwhile, which may be the incident, would else end the window at
	// once, or never.
	at, clock := t.Time, r.rings.Clocks.Now()
	if r.incident != nil {
		clock = r.incident.clock
	}
	t.Time = clock.Wall(at)
	if !t.Since.IsZero() {
		t.Since = clock.Wall(t.Since)
	}
	if r.stopping {
		return
	}
	if r.cfg.DryRun {
		r.cfg.Log.Info("would fire: "+describe(t), attrs("would_fire", t)...)
		return
	}
	if r.incident != nil && len(r.incident.joined) >= joinedMost {
		return
	}
	if r.incident != nil {
		r.incident.joined = append(r.incident.joined, t)
		r.cfg.Log.Info("joins the bundle: "+describe(t), attrs("joined", t)...)
		return
	}
	r.cfg.Log.Info(fmt.Sprintf("triggered: %s; cutting in %v", describe(t), r.cfg.After), attrs("fired", t)...)
	r.renamed()
	r.incident = &incident{
		at: at, first: t, end: at.Add(r.cfg.After), clock: clock, read: clock.Reading("trigger"),
		usual: r.triggers.Baselines(t.Time),
		early: collectEarly(r.cfg.sources(clock)),
	}
	if r.rings.Packets != nil {
		r.rings.Packets.Guard(r.start(at))
	}
	r.snapshot.Reset(snapshotUrgent)
	if r.probes.Softirqs != nil {
		r.probes.Softirqs.Until(r.incident.end)
	}
}

// full tells when the packet rings have no more room beside what was before a trigger.
func (r *Recorder) full() <-chan struct{} {
	if r.rings.Packets == nil {
		return nil
	}
	return r.rings.Packets.Full()
}

// spill cuts the packets before the window's end: the rest of the bundle goes on until then, and of packets
// what comes from now on is of the next one. What was before is worth more than the last of what is after.
func (r *Recorder) spill() {
	in := r.incident
	if in == nil || in.packets != nil {
		return
	}
	packets, err := freeze.CutPackets(r.rings, r.request(in))
	if errors.Is(err, capture.ErrCutOpen) {
		return // the bundle before is being put aside: the rings say so again when that is done
	}
	if err != nil {
		r.cfg.Log.Error(fmt.Sprintf("%v", err))
		return
	}
	in.packets = packets
	r.cfg.Log.Warn(fmt.Sprintf("packets of this bundle end %v after the trigger: --ring has no room for more beside those before it",
		packets.Ended(in.at).Round(10*time.Millisecond)))
}

// request is what the cut of an incident asks for.
func (r *Recorder) request(in *incident) freeze.Request {
	start := r.start(in.at)
	return freeze.Request{
		Env: r.cfg.sources(in.clock), Store: r.store, Manifest: r.manifest(in, start),
		Start: start, Trigger: in.at, Clock: in.clock, Early: in.early, Packets: in.packets,
	}
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
	r.rings.Snapshots.AskAndWait(time.Now(), snapshotPatience)
	began := time.Now()
	req := r.request(in)
	held, err := freeze.Take(r.rings, req)
	// Set where the cut fails, too: the failure comes back over results like any other.
	r.writing = true
	if err != nil {
		r.results <- result{err: err}
		return
	}
	r.cfg.Log.Debug(fmt.Sprintf("rings cut in %v; recording goes on", time.Since(began).Round(10*time.Microsecond)))
	go func() { r.results <- write(held, req.Manifest.Trigger) }()
}

// start is that of the window of a trigger.
func (r *Recorder) start(trigger time.Time) time.Time {
	start := trigger.Add(-r.cfg.Before)
	if start.Before(r.since) {
		return r.since
	}
	return start
}

// write runs beside the loop and touches only what is its own.
func write(held *freeze.Held, trigger format.Trigger) result {
	report, err := held.Write(context.Background())
	held.Close()
	debug.FreeOSMemory() // what a host with 100,000 sockets took is not ours between two bundles
	return result{report: report, trigger: trigger, err: err}
}

// finish tells what became of a bundle.
func (r *Recorder) finish(res result) {
	defer r.manager.armed(r)
	r.writing = false
	r.failed = res.err
	if res.err != nil {
		r.lost++
		r.cfg.Log.Error(fmt.Sprintf("bundle lost: %v; still armed", res.err), "event", "bundle_lost", "error", res.err.Error())
		return
	}
	r.tell(&res.report)
	// Warnings behind the bundle's own line: whoever waits for that does not wait for them.
	for _, err := range res.report.Troubles {
		r.cfg.Log.Warn(err.Error())
	}
	for _, path := range res.report.Removed {
		r.cfg.Log.Info("removed an old bundle, for there is a new one: " + path)
	}
	r.triggers.Told(r.told)
	r.written++
	r.last = res.report
	if r.cfg.Written != nil {
		r.cfg.Written(res.report.Path)
	}
	r.hook.Run(r.variables(&res))
}

// variables are what --on-bundle has in its environment. What only an analysis can tell is not: the
// recorder explains nothing, and the command can run spikebox analyze --json.
func (r *Recorder) variables(res *result) map[string]string {
	v := map[string]string{
		"SPIKEBOX_BUNDLE": res.report.Path, "SPIKEBOX_BYTES": strconv.FormatInt(res.report.Bytes, 10), "SPIKEBOX_LEFT_OUT": res.report.LeftOut,
		"SPIKEBOX_HOST": r.host.Name, "SPIKEBOX_KIND": res.trigger.Kind, "SPIKEBOX_TRIGGER": res.trigger.Expr, "SPIKEBOX_REASON": describe(res.trigger),
		"SPIKEBOX_TIME": res.trigger.Time.UTC().Format(time.RFC3339Nano), "SPIKEBOX_VITAL": res.trigger.Vital, "SPIKEBOX_VALUE": "",
	}
	if res.trigger.Kind == "vital" {
		v["SPIKEBOX_VALUE"] = unit.Format(res.trigger.Value, res.trigger.Unit)
	}
	return v
}

func (r *Recorder) manifest(in *incident, start time.Time) format.Manifest {
	r.told = r.triggers.HeldBack(time.Now())
	var warnings []string
	if r.cfg.AllNetNS {
		warnings = append(warnings, ownNetNS)
	}
	return format.Manifest{
		Warnings: warnings,
		Recorder: r.cfg.Build, Host: r.host, Config: r.cfg.Flags,
		Trigger: in.first, Joined: in.joined, HeldBack: heldBack(r.told),
		Clocks: []format.Clock{r.armed, in.read}, Baselines: in.usual,
		Budget: r.budget.State(start, time.Now(), in.clock.Wall),
	}
}
