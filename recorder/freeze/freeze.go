//go:build linux

// Package freeze cuts the rings and writes them as a bundle. Take is what must happen
// at the moment itself; Write collects the one-off sources and streams the bundle, while
// recording goes on.
package freeze

import (
	"context"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"strings"
	"time"

	"github.com/spikebox/spikebox/format"
	"github.com/spikebox/spikebox/format/member"
	"github.com/spikebox/spikebox/recorder/budget"
	"github.com/spikebox/spikebox/recorder/capture"
	"github.com/spikebox/spikebox/recorder/host"
	"github.com/spikebox/spikebox/recorder/ring"
	"github.com/spikebox/spikebox/recorder/source"
	"github.com/spikebox/spikebox/recorder/trace"
	"github.com/spikebox/spikebox/recorder/vital"
)

// Rings is everything that a cut takes from.
type Rings struct {
	Packets   *capture.Set // nil where NoPackets
	NoPackets error        // why packets cannot be recorded here
	Board     *vital.Board
	Rows      *ring.Rows
	Listeners *ring.Listeners
	Snapshots *source.Snapshots
	Log       *source.KernelLog
	Trace     *trace.Recording
	Clocks    *host.Track
}

// Request says what to cut and why.
type Request struct {
	Env      source.Env      // of the one-off sources
	Store    *Store          // where the bundle goes
	Manifest format.Manifest // with host, recorder, configuration, triggers, and the clocks so far
	Start    time.Time       // of the window
	Trigger  time.Time
	// Clock is the reading at the trigger, on which every time of the bundle is placed.
	Clock host.Moment
	// Early gives, once, what was collected when the trigger fired.
	Early <-chan []source.Result
	// Packets were cut before the window's end, for there was no room for more; nil: they are cut with the rest.
	Packets *Packets
}

// Held is the rings' content at one moment, held until it is written.
type Held struct {
	req       Request
	end       time.Time
	vitals    []byte
	clocks    []byte
	listeners []byte
	log       []byte
	trace     *trace.Cut
	texts     *ring.TextCut
	packets   *Packets        // nil where they cannot be recorded
	sources   []format.Source // of the rings
}

// Take cuts all rings. It runs between two ticks and takes some milliseconds; recording
// goes on. Close must be called when the Held is done with.
func Take(rings Rings, req Request) (*Held, error) {
	h := &Held{req: req}
	rings.Clocks.Tick()
	past := rings.Clocks.Past(req.Clock, req.Start)
	// Packets first: their cut waits some milliseconds for those that the kernel is still
	// copying, and the window's end, taken behind it, is later than all that is in it.
	if h.packets = req.Packets; h.packets == nil && rings.Packets != nil {
		var err error
		if h.packets, err = CutPackets(rings, req); err != nil {
			return nil, err
		}
	}
	end := rings.Clocks.Tick()
	h.end = end.At
	texts, err := rings.Snapshots.Cut()
	if err != nil {
		go h.Close() // it waits until the packets are put aside
		return nil, fmt.Errorf("cut snapshots: %w", err)
	}
	h.texts = texts
	infos := rings.Board.Infos()
	// Small things are rendered at once and large ones held: rows are overwritten by the next
	// tick, compressed texts and packet blocks stay as they are.
	h.vitals = vitalsCSV(rings.Rows, infos, req.Start, req.Clock)
	h.clocks = clocksCSV(past)
	h.listeners = listenersCSV(rings.Listeners, req.Start, req.Clock)
	h.log = rings.Log.Cut(req.Start, h.end, req.Clock)
	h.trace = rings.Trace.Cut(req.Start, h.end, req.Clock)
	if h.packets == nil {
		h.sources = append(h.sources, rings.PacketsRefused())
	} else {
		h.sources = append(h.sources, packetSource(h.packets.cut, req.Start, h.end, req.Clock))
	}
	meters := rings.Board.Sources(req.Start, h.end)
	h.sources = append(h.sources, meters...)
	for _, meter := range meters {
		if meter.Name == vital.ListenerSource {
			h.sources = append(h.sources, listenerSource(meter, rings.Listeners, req.Start))
		}
	}
	h.sources = append(h.sources, clockSource(past, req.Start))
	h.sources = append(h.sources, rings.Snapshots.Source(req.Start, h.end), rings.Log.Source(req.Start, req.Clock))
	h.sources = append(h.sources, rings.Trace.Sources(req.Start, h.end, req.Clock.Wall)...)
	budget.Mark(h.sources, req.Manifest.Budget)
	m := &h.req.Manifest
	m.Vitals = infos
	m.Window = format.Window{Start: req.Clock.Wall(req.Start), Trigger: req.Clock.Wall(req.Trigger), End: req.Clock.Wall(h.end)}
	m.Clocks = append(m.Clocks, end.Reading("freeze"))
	return h, nil
}

// Host is whose bundle it is.
func (h *Held) Host() string { return h.req.Manifest.Host.Name }

// Close lets go of what was not written. It waits until the packets are put aside.
func (h *Held) Close() { h.packets.Close() }

// Report says what became of a bundle.
type Report struct {
	at      time.Time // of its final name
	Path    string
	Bytes   int64
	Packets uint64        // that are in it
	Durable time.Duration // from Take to the bundle's final name
	Sources []format.Source
	// LeftOut says what of the recording is in it where not everything is, and why.
	LeftOut string
	// Fallback: it lies in another folder than the first.
	Fallback bool
	Removed  []string // older bundles, after this one was durable
	// Troubles are of folders that would not take it, and of the keeping of old bundles.
	Troubles []error
}

// Lacks names the sources that are not complete in the bundle, and are none that was left out on purpose.
func (r *Report) Lacks() (names []string) {
	for _, s := range r.Sources {
		if s.State != format.Complete && s.State != format.Disabled {
			names = append(names, fmt.Sprintf("%s (%s)", s.Name, s.State))
		}
	}
	return names
}

// Write collects the one-off sources and writes the bundle to the store. Whatever goes
// wrong, there is never a file under a final name that is not whole.
func (h *Held) Write(ctx context.Context) (Report, error) {
	defer h.Close()
	env := h.req.Env
	env.At = member.AtEnd
	c := &content{name: name(h.req.Manifest.Host.Name, h.req.Manifest.Trigger), manifest: h.req.Manifest, at: h.req.Manifest.Window.Trigger}
	// Packets go aside while the sources are asked: until that is done the kernel has only the
	// rings' reserve, and a source may take its whole time limit.
	late := source.CollectAll(ctx, env, source.OneOffs)
	// The trigger's results go before the end's, because members joins what has one name in this
	// order: sockets.jsonl begins with the queues as they were when it fired. They are waited for
	// last, since they had the whole window to come; with --after 0 both are asked at once.
	c.results = append(<-h.req.Early, late...)
	c.packets, c.lost = h.packets.spooled()
	h.fill(c)
	report, err := h.req.Store.put(ctx, c)
	report.Durable = report.at.Sub(h.end)
	return report, err
}

// fill puts into a content what the rings held.
func (h *Held) fill(c *content) {
	m := &c.manifest
	m.Sources = h.sources
	// Named here and not in Take: kallsyms takes 50 ms, during which there would be no tick.
	if err := h.trace.Resolve(); err != nil {
		m.Warnings = append(m.Warnings, err.Error())
	}
	told, err := h.told()
	if err != nil { // one member less is no reason to lose the others
		m.Warnings = append(m.Warnings, err.Error())
	}
	c.told = []source.Result{{Sink: told}}
	for _, r := range c.results {
		m.Sources = append(m.Sources, r.Source)
	}
	var rendered source.Sink
	rendered.Add(member.VitalsName, h.vitals)
	rendered.Add(member.ClocksName, h.clocks)
	rendered.Add(member.ListenersName, h.listeners)
	rendered.Add(member.KmsgName, h.log)
	c.plain = rendered.Members
	c.textBytes = h.texts.Bytes()
	c.snapshots = func(f func(at time.Time, name string, text []byte) error) error {
		return h.texts.Snapshots(h.req.Start, h.end, func(at time.Time, path string, text []byte) error {
			return f(at, member.SnapshotName(h.req.Clock.Wall(at), path), text)
		})
	}
}

// told renders what the kernel's probes told.
func (h *Held) told() (*source.Sink, error) {
	// Rendered into a sink, as the sources' members are: a tar header has the size in front.
	sink := &source.Sink{}
	var errs []error
	for _, told := range []struct {
		name   string
		render func(io.Writer) error
	}{
		{member.EventsName, h.trace.WriteEvents},
		{member.LatenciesName, h.trace.WriteLatencies},
		{member.DropsName, h.trace.WriteDrops},
		{member.UnattributedName, h.trace.WriteUnattributed},
		{member.StacksName, h.trace.WriteStacks},
	} {
		stream, err := sink.Stream(told.name)
		if err == nil {
			err = errors.Join(told.render(stream), stream.Close())
		}
		if err != nil {
			errs = append(errs, fmt.Errorf("render member %q: %w", told.name, err))
		}
	}
	return sink, errors.Join(errs...)
}

// name is <host>-<time>-<trigger>.
func name(host string, t format.Trigger) string {
	what := t.Vital
	if what == "" {
		what = t.Kind
	}
	return Plain(host) + "-" + t.Time.UTC().Format(nameTime) + "-" + Plain(what)
}

// Plain keeps of a host's name, or of a vital's, what is safe in file names everywhere.
func Plain(s string) string {
	safe := strings.Map(func(r rune) rune {
		if r == '.' || r == '_' || r == '-' || r >= '0' && r <= '9' || r >= 'A' && r <= 'Z' || r >= 'a' && r <= 'z' {
			return r
		}
		return '_'
	}, filepath.Base(s))
	if strings.Trim(safe, ".") == "" {
		return "unnamed"
	}
	return safe
}

func comment(t format.Trigger) string {
	if t.Expr == "" {
		return strings.TrimSpace("spikebox trigger: " + t.Kind + " " + t.Reason)
	}
	return "spikebox trigger: " + t.Expr
}
