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
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/spikebox/spikebox/format"
	"github.com/spikebox/spikebox/format/member"
	"github.com/spikebox/spikebox/recorder/capture"
	"github.com/spikebox/spikebox/recorder/host"
	"github.com/spikebox/spikebox/recorder/ring"
	"github.com/spikebox/spikebox/recorder/source"
	"github.com/spikebox/spikebox/recorder/trace"
	"github.com/spikebox/spikebox/recorder/vital"
)

// Rings is everything that a cut takes from.
type Rings struct {
	Packets   *capture.Set
	Board     *vital.Board
	Rows      *ring.Rows
	Listeners *ring.Newest[ring.Listener]
	Snapshots *source.Snapshots
	Log       *source.KernelLog
	Trace     *trace.Recording
}

// Request says what to cut and why.
type Request struct {
	Env      source.Env      // of the one-off sources
	Dir      string          // where the bundle goes
	Manifest format.Manifest // with host, recorder, configuration, triggers, and the clocks so far
	Start    time.Time       // of the window
	Trigger  time.Time
	// Early gives, once, what was collected when the trigger fired.
	Early <-chan []source.Result
}

// Held is the rings' content at one moment, held until it is written.
type Held struct {
	req       Request
	end       time.Time
	vitals    []byte
	listeners []byte
	log       []byte
	trace     *trace.Cut
	texts     *ring.TextCut
	packets   *capture.Cut
	sources   []format.Source // of the rings
}

// Take cuts all rings. It runs between two ticks and takes some milliseconds; recording
// goes on. Close must be called when the Held is done with.
func Take(rings Rings, req Request) (*Held, error) {
	h := &Held{req: req}
	// Packets first: their cut waits some milliseconds for those that the kernel is still
	// copying, and the window's end, taken behind it, is later than all that is in it.
	cut, err := rings.Packets.Cut(req.Start)
	if err != nil {
		return nil, err
	}
	h.packets = cut
	h.end = time.Now()
	texts, err := rings.Snapshots.Cut()
	if err != nil {
		h.Close()
		return nil, fmt.Errorf("cut snapshots: %w", err)
	}
	h.texts = texts
	infos := rings.Board.Infos()
	// Small things are rendered at once and large ones held: rows are overwritten by the next
	// tick, compressed texts and packet blocks stay as they are.
	h.vitals = vitalsCSV(rings.Rows, infos, req.Start, h.end)
	h.listeners = listenersCSV(rings.Listeners, req.Start, h.end)
	clock := host.Clock("freeze")
	h.log = rings.Log.Cut(req.Start, h.end, clock)
	h.trace = rings.Trace.Cut(req.Start, h.end, clock)
	h.sources = append(h.sources, packetSource(h.packets, req.Start))
	h.sources = append(h.sources, rings.Board.Sources()...)
	h.sources = append(h.sources, rings.Snapshots.Source(), rings.Log.Source(req.Start, clock))
	h.sources = append(h.sources, rings.Trace.Sources(req.Start)...)
	m := &h.req.Manifest
	m.Vitals = infos
	m.Window = format.Window{Start: req.Start.UTC(), Trigger: req.Trigger.UTC(), End: h.end.UTC()}
	m.Clocks = append(m.Clocks, clock)
	return h, nil
}

// Close gives the packet rings back to recording.
func (h *Held) Close() { h.packets.Close() }

// Report says what became of a bundle.
type Report struct {
	Path    string
	Bytes   int64
	Packets uint64
	Durable time.Duration // from Take to the bundle's final name
	Sources []format.Source
}

// Write collects the one-off sources and writes the bundle. Whatever goes wrong, there
// is never a file under a final name that is not whole.
func (h *Held) Write(ctx context.Context) (Report, error) {
	defer h.Close()
	env := h.req.Env
	env.At = member.AtEnd
	m := h.req.Manifest
	spooling := h.spool(&m)
	// Packets go aside while the sources are asked: until that is done the kernel has only the
	// rings' reserve, and a source may take its whole time limit.
	late := source.CollectAll(ctx, env, source.OneOffs)
	// The trigger's results go before the end's, because members joins what has one name in this
	// order: sockets.jsonl begins with the queues as they were when it fired. They are waited for
	// last, since they had the whole window to come; with --after 0 both are asked at once.
	results := append(<-h.req.Early, late...)
	packets := <-spooling
	if packets.err != nil {
		return Report{}, packets.err
	}
	defer packets.close()
	m.Sources = h.sources
	// Named here and not in Take: kallsyms takes 50 ms, during which there would be no tick.
	if err := h.trace.Resolve(); err != nil {
		m.Warnings = append(m.Warnings, err.Error())
	}
	for _, r := range results {
		m.Sources = append(m.Sources, r.Source)
	}
	w, err := create(h.req.Dir, name(m.Host.Name, m.Trigger), h.req.Trigger)
	if err != nil {
		return Report{}, err
	}
	path, err := h.stream(ctx, w, &m, results, packets.spool)
	if err != nil {
		return Report{}, errors.Join(err, w.Abort())
	}
	report := Report{Path: path, Durable: time.Since(h.end), Packets: h.packets.Packets(), Sources: m.Sources}
	if info, err := os.Stat(path); err == nil {
		report.Bytes = info.Size()
	}
	return report, nil
}

// stream writes the members in the order of format/SPEC.md: small and telling ones
// first, so that a truncated copy is still worth having.
func (h *Held) stream(ctx context.Context, w *format.Writer, m *format.Manifest, results []source.Result, packets *spool) (string, error) {
	// A frame is what a reader can jump to, and what damage costs: each begins where
	// something that is read alone begins.
	steps := []func() error{
		func() error { return w.Manifest(m) },
		func() error { return w.Add(member.VitalsName, h.vitals) },
		func() error { return w.Add(member.ListenersName, h.listeners) },
		func() error { return w.Add(member.KmsgName, h.log) },
		w.NewFrame,
		func() error { return h.told(w) },
		w.NewFrame,
		func() error { return members(w, results, member.SocketsName) },
		func() error { return members(w, results, member.ProcessesName) },
		w.NewFrame,
		func() error { return members(w, results, member.ConntrackName) },
		func() error { return members(w, results, member.ConntrackSummaryName) },
		w.NewFrame,
		func() error { return members(w, results, member.StaticFolder) },
		w.NewFrame,
		func() error { return h.snapshots(w) },
		w.NewFrame,
		func() error { return w.AddSized(member.PacketsName, packets.size, packets.writeTo) },
	}
	for _, step := range steps {
		if err := ctx.Err(); err != nil {
			return "", fmt.Errorf("write bundle: %w", err)
		}
		if err := step(); err != nil {
			return "", err
		}
	}
	return w.Commit()
}

// members writes the one-off members whose name begins with a prefix. Those of the same
// name, of a source that was asked at the trigger and at the end, become one.
func members(w *format.Writer, results []source.Result, prefix string) error {
	parts := map[string][]*source.Member{}
	var names []string
	for _, r := range results {
		for _, m := range r.Sink.Members {
			if !strings.HasPrefix(m.Name, prefix) {
				continue
			}
			if parts[m.Name] == nil {
				names = append(names, m.Name)
			}
			parts[m.Name] = append(parts[m.Name], m)
		}
	}
	for _, name := range names {
		if err := joined(w, name, parts[name]); err != nil {
			return err
		}
	}
	return nil
}

func joined(w *format.Writer, name string, parts []*source.Member) error {
	var size int64
	for _, m := range parts {
		size += m.Size
	}
	return w.AddSized(name, size, func(to io.Writer) error {
		for _, m := range parts {
			if _, err := m.WriteTo(to); err != nil {
				return err
			}
		}
		return nil
	})
}

// told writes what the kernel's probes told.
func (h *Held) told(w *format.Writer) error {
	// Rendered into a sink, as the sources' members are: a tar header has the size in front.
	var sink source.Sink
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
		if err != nil {
			return err
		}
		if err := errors.Join(told.render(stream), stream.Close()); err != nil {
			return fmt.Errorf("render member %q: %w", told.name, err)
		}
	}
	return members(w, []source.Result{{Sink: &sink}}, "")
}

func (h *Held) snapshots(w *format.Writer) error {
	return h.texts.Snapshots(h.req.Start, h.end, func(at time.Time, path string, text []byte) error {
		return w.Add(member.SnapshotName(h.wall(at), path), text)
	})
}

// spoolResult is what became of the packets.
type spoolResult struct {
	*spool
	err error
}

// spool writes the packets aside in the background and gives the rings back.
func (h *Held) spool(m *format.Manifest) <-chan spoolResult {
	opts := capture.PcapngOptions{
		Trigger: h.req.Trigger, Comment: comment(m.Trigger), Hardware: m.Host.Arch,
		OS: "Linux " + m.Host.Kernel, Application: m.Recorder.Program + " " + m.Recorder.Version,
	}
	done := make(chan spoolResult, 1)
	go func() {
		defer h.Close()
		s, err := spooled(h.req.Dir, h.packets.Size(opts), func(to io.Writer) error { return h.packets.WritePcapng(to, opts) })
		done <- spoolResult{s, err}
	}()
	return done
}

// wall puts a time that carries a monotonic reading on CLOCK_REALTIME as it stood at
// the freeze: a clock that was stepped in between moves all times alike.
func (h *Held) wall(at time.Time) time.Time { return h.end.Add(at.Sub(h.end)) }

// create takes the first free name: two triggers may fire within one second.
func create(dir, name string, at time.Time) (*format.Writer, error) {
	for n := 2; ; n++ {
		w, err := format.Create(dir, name, at)
		if !errors.Is(err, os.ErrExist) || n > 100 {
			return w, err
		}
		base, _, _ := strings.Cut(name, "~")
		name = fmt.Sprintf("%s~%d", base, n)
	}
}

// name is <host>-<time>-<trigger>.
func name(host string, t format.Trigger) string {
	what := t.Vital
	if what == "" {
		what = t.Kind
	}
	return plain(host) + "-" + t.Time.UTC().Format("20060102T150405Z") + "-" + plain(what)
}

// plain keeps what is safe in file names everywhere.
func plain(s string) string {
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
