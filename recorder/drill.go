//go:build linux

package recorder

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/spikebox/spikebox/format"
	"github.com/spikebox/spikebox/format/unit"
	"github.com/spikebox/spikebox/recorder/capture"
	"github.com/spikebox/spikebox/recorder/control"
	"github.com/spikebox/spikebox/recorder/drill"
	"github.com/spikebox/spikebox/recorder/freeze"
	"github.com/spikebox/spikebox/recorder/host"
	"github.com/spikebox/spikebox/recorder/ring"
	"github.com/spikebox/spikebox/recorder/source"
)

const (
	// drillKind is that of the trigger, and in the bundle's name.
	drillKind = "drill"
	// drillRing is the smallest ring for loopback, with the drill's port only.
	drillRing = 1 << 20
	// drillBefore is the window before the attempt: a few ticks to compare with.
	drillBefore = time.Second
	// drillTicks come between the attempt and the cut: one that has begun before it, and a second of others, of which a busy
	// host may miss some.
	drillTicks = 1 + ring.TicksPerSecond
	// settled is how many ticks of the recorder must have been: a rate is of a whole second of them.
	settled = 2 * ring.TicksPerSecond
)

// drilling is a drill that goes on. Its event and its bundle are made beside the loop; the loop cuts for it
// as it does for a trigger, and a trigger that fires meanwhile is not held up: nothing of the drill is in its way.
type drilling struct {
	drill  control.Drill
	answer chan<- control.Drill
	target *drill.Target
	set    *capture.Set // loopback, for the drill's port; nil where refused
	refuse error
	event  drill.Event
	failed error // of the event
	armed  armedRings
	knocks bool             // the event is made, or being made
	ticks  int              // since the event
	held   *freeze.Held     // cut
	done   chan<- *drilling // to the loop
}

// close gives back what a drill holds.
func (d *drilling) close() {
	if d.set != nil {
		d.set.Close()
	}
	if d.target != nil {
		d.target.Close()
	}
}

// startDrill begins a drill, or says why there is none now.
func (r *Recorder) startDrill(answer chan<- control.Drill) {
	why := ""
	switch {
	case r.drilling:
		why = "another drill is under way"
	case r.stopping:
		why = "the recorder is ending"
	case r.cfg.DryRun:
		why = "a recorder with --dry-run writes nothing"
	}
	d := &drilling{answer: answer, done: r.drilled, drill: control.Drill{Time: time.Now().UTC()}}
	if why != "" {
		d.drill.Steps = []control.Step{{Name: "event", State: control.StepUntried, Text: why}}
		d.drill.Judge()
		answer <- d.drill
		return
	}
	r.drilling = true
	d.armed = armedRings{packets: r.rings.Packets, refused: r.rings.NoPackets, root: r.cfg.Root, filtered: len(r.cfg.Ports)+len(r.cfg.Peers) > 0}
	r.due = d
}

// knock makes the event, and hands the drill to the loop.
func (d *drilling) knock(cfg capture.SetConfig) {
	defer func() { d.done <- d }()
	d.armed.begin()
	if d.target, d.failed = drill.Take(); d.failed != nil {
		d.refuse = d.failed
		return
	}
	// A ring of the same kind as the armed ones, for those are on other interfaces: their own packets are counted.
	cfg.Interfaces, cfg.Bytes, cfg.Before, cfg.After, cfg.Notify = []string{"lo"}, drillRing, drillBefore, time.Second, nil
	cfg.Filter.Ports, cfg.Filter.Peers = []uint16{d.target.Port()}, nil
	d.set, d.refuse = capture.OpenSet(cfg)
	d.event, d.failed = d.target.Knock()
}

// continueDrill goes on with a drill that has done its part beside the loop.
func (r *Recorder) continueDrill(d *drilling) {
	switch {
	case len(d.drill.Steps) > 0:
		r.endDrill(d)
		return
	case d.failed != nil: // a bundle is written all the same
		d.event.At = time.Now()
		d.step("event", control.StepUntried, d.failed.Error())
	default:
		d.step("event", control.StepOK, fmt.Sprintf("a connection attempt from %v to %v was refused", d.event.Client, d.event.Server))
	}
	r.due = d
}

func (d *drilling) step(name, state, text string) {
	d.drill.Steps = append(d.drill.Steps, control.Step{Name: name, State: state, Text: text})
}

// drillTick has a drill's event made, and cuts when the ticks behind it have come.
func (r *Recorder) drillTick() {
	r.ticks++
	d := r.due
	switch {
	case d == nil, !d.knocks && r.ticks < settled:
		return
	case !d.knocks:
		r.due, d.knocks = nil, true
		go d.knock(r.cfg.packets())
		return
	}
	if d.ticks++; d.ticks < drillTicks {
		return
	}
	r.due = nil
	clock := r.rings.Clocks.Now()
	start := d.event.At.Add(-drillBefore)
	if start.Before(r.since) {
		start = r.since
	}
	t := format.Trigger{Kind: drillKind, Reason: "a connection attempt to itself", Time: clock.Wall(d.event.At)}
	early := make(chan []source.Result, 1)
	early <- nil // nothing of it has to be seen as it was at the event
	rings := r.rings
	rings.Packets, rings.NoPackets = d.set, d.refuse
	held, err := freeze.Take(rings, freeze.Request{
		Env: r.cfg.sources(clock), Store: r.store.Trial(), Early: early,
		Manifest: r.drillManifest(t, start, clock), Start: start, Trigger: d.event.At, Clock: clock,
	})
	if err != nil {
		d.step("bundle", control.StepFailed, err.Error())
		r.endDrill(d)
		return
	}
	d.held = held
	go d.look()
}

func (r *Recorder) drillManifest(t format.Trigger, start time.Time, clock host.Moment) format.Manifest {
	return format.Manifest{
		Recorder: r.cfg.Build, Host: r.host, Config: r.cfg.Flags, Trigger: t, Clocks: []format.Clock{r.armed, clock.Reading("trigger")},
		Budget: r.budget.State(start, time.Now(), clock.Wall),
	}
}

// look writes the bundle, looks for the event in it, and removes it.
func (d *drilling) look() {
	defer func() { d.done <- d }()
	d.drill.Steps = append(d.drill.Steps, d.armed.step())
	res := write(d.held, format.Trigger{})
	if res.err != nil {
		d.step("bundle", control.StepFailed, res.err.Error())
		return
	}
	if d.failed == nil {
		d.drill.Steps = append(d.drill.Steps, drill.Look(res.report.Path, d.event)...)
	}
	text := fmt.Sprintf("%s on disk %s after the cut, read back and removed", unit.Size(res.report.Bytes), unit.Duration(res.report.Durable))
	state := control.StepOK
	switch err := removeDrills(res.report.Path, d.held.Host()); {
	case err != nil:
		state, text = control.StepFailed, fmt.Sprintf("written and read back, but it is still there: %v", err)
	case res.report.LeftOut != "":
		state, text = control.StepFailed, "it has "+res.report.LeftOut
	case res.report.Fallback:
		state, text = control.StepFailed, fmt.Sprintf("it was written to --fallback-dir, as --dir did not take it: %v", res.report.Troubles)
	}
	d.step("bundle", state, text)
}

// removeDrills removes the bundle of a drill, and those that drills of recorders of this host have left that were killed.
func removeDrills(path, host string) error {
	entries, err := os.ReadDir(filepath.Dir(path))
	for _, e := range entries {
		when, ours := strings.CutPrefix(e.Name(), freeze.Plain(host)+"-")
		at, kind, _ := strings.Cut(strings.TrimSuffix(when, format.Ext), "-")
		if _, perr := time.Parse("20060102T150405Z", at); !ours || perr != nil || kind != drillKind && !strings.HasPrefix(kind, drillKind+"~") {
			continue
		}
		if rerr := os.Remove(filepath.Join(filepath.Dir(path), e.Name())); rerr != nil && !errors.Is(rerr, fs.ErrNotExist) {
			err = rerr
		}
	}
	return err
}

// endDrill says what came of a drill.
func (r *Recorder) endDrill(d *drilling) {
	r.drilling = false
	go d.close() // a set's goroutines end when they have looked around
	d.drill.Judge()
	r.drill = &d.drill
	d.answer <- d.drill
	level, bad := slog.LevelInfo, []string(nil)
	for _, s := range d.drill.Steps {
		if s.State != control.StepOK {
			level, bad = slog.LevelWarn, append(bad, fmt.Sprintf("%s %s: %s", s.Name, s.State, s.Text))
		}
	}
	text := fmt.Sprintf("drill %s: an event of its own was in packets, events, vitals and a bundle", d.drill.State)
	if bad != nil {
		text = fmt.Sprintf("drill %s: %s", d.drill.State, strings.Join(bad, "; "))
	}
	r.cfg.Log.Log(context.Background(), level, text, "event", "drill", "state", d.drill.State, "steps", d.drill.Steps)
}
