//go:build linux

package recorder

import (
	"context"
	"log/slog"
	"time"

	"github.com/spikebox/spikebox/format"
	"github.com/spikebox/spikebox/format/member"
	"github.com/spikebox/spikebox/recorder/capture"
	"github.com/spikebox/spikebox/recorder/freeze"
	"github.com/spikebox/spikebox/recorder/host"
	"github.com/spikebox/spikebox/recorder/probe"
	"github.com/spikebox/spikebox/recorder/source"
	"github.com/spikebox/spikebox/recorder/through"
	"github.com/spikebox/spikebox/recorder/vital"
)

// Survey is what this kernel and these privileges give: the same openings that arm a
// recorder, tried and closed again.
type Survey struct {
	Vitals  []vital.Column
	Sources []SurveyedSource
	// Findings are what the configuration asks for beyond the sources.
	Findings []Finding
	Short    bool   // the rings do not reach back Before
	Rings    string // how large the packet rings would be, and how far back they would reach as packets come now
}

// SurveyedSource is one source, and what it gives here.
type SurveyedSource struct {
	format.Source
	Doc string
	// Without is what is lost where the source is missing.
	Without string
}

// nothing is forwarded while it is only asked what could be measured.
type nothing struct{}

// Through is vital.Through.
func (nothing) Through(time.Time, bool) through.Told { return through.Told{Whole: true} }

// MakeSurvey tries everything once that arming by a configuration would open. It takes a second, for which
// packets are counted.
func MakeSurvey(cfg Config) *Survey {
	root := cfg.Root
	cfg.Log = slog.New(slog.DiscardHandler)
	quiet := slog.New(slog.DiscardHandler)
	s := &Survey{}
	probes := openProbes(probe.Options{NetNS: host.NetNS()}, quiet)
	defer probes.Close()
	env := vital.Env{Root: root, Probes: probes, Peers: vital.NewPeers(probes.Names)}
	if cfg.Capture != capture.TPacket {
		if passing, err := capture.NewPassing(); err == nil {
			defer passing.Close()
			env.Passing, env.Through = passing, nothing{}
		}
	}
	board := vital.Open(env, quiet)
	defer board.Close()
	// One reading, because a file may open and not be readable: the reason is known after it.
	board.Read(time.Now())
	s.Vitals = board.Columns()
	s.packets(cfg)
	s.Findings = append(s.Findings, examine(&cfg, s.Vitals)...)
	for _, m := range board.States() {
		s.add(m.Source, m.Doc, m.Source.Details["lack"])
	}
	s.snapshots(root, quiet)
	log := source.OpenKernelLog(root, quiet)
	s.add(log.Source(time.Now(), host.Now()), "the kernel log", "what the kernel said, and triggers on it")
	log.Close()
	for _, r := range probes.Results {
		s.add(r.Source(), r.Probe.Doc, r.Probe.Without)
	}
	for _, r := range source.CollectAll(context.Background(), source.Env{Root: root, At: member.AtEnd}, source.OneOffs) {
		s.add(r.Source, r.OneOff.Doc, "")
	}
	return s
}

func (s *Survey) add(src format.Source, doc, without string) {
	s.Sources = append(s.Sources, SurveyedSource{src, doc, without})
}

// surveyed is for how long packets are counted.
const surveyed = time.Second

// packets tries the rings that arming opens, or, where no interface is up, one on that which every
// namespace has.
func (s *Survey) packets(armed Config) {
	src := format.Source{Name: "packets", State: format.Complete}
	r := &Recorder{cfg: armed}
	chosen := len(armed.Interfaces) > 0
	cfg := r.cfg.packets()
	var set *capture.Set
	err := greedy(host.Facts().MemoryBytes, cfg.Bytes) // not even to try it
	if err == nil {
		set, err = capture.OpenSet(cfg)
	}
	if err == nil && len(set.Status()) == 0 {
		set.Close()
		chosen = true
		s.Findings = append(s.Findings, Finding{"interfaces", Note, "none is up; those that come up will be recorded"})
		cfg.Interfaces = []string{"lo"}
		set, err = capture.OpenSet(cfg)
	}
	if err != nil {
		src.State, src.Reason = source.State(err), freeze.Refusal(err)
		if armed.insists(err) {
			s.Findings = append(s.Findings, Finding{"packets", Fault, src.Reason})
		}
	} else {
		time.Sleep(surveyed)
		ring := set.Status()[0]
		src.Variant, src.Reason = ring.Way.Variant(), ring.Why
		r.rings.Packets = set
		if !chosen {
			s.Findings = append(s.Findings, Finding{"interfaces", Fine, r.interfaces()})
		}
		s.Rings, s.Short = r.memory(), len(r.short(set.Status())) > 0
		set.Close()
	}
	s.add(src, "headers of every packet, from a ring in the kernel", "everything that packets tell")
}

func (s *Survey) snapshots(root string, quiet *slog.Logger) {
	snapshots, err := source.OpenSnapshots(root, 1<<20, time.Minute, quiet)
	if err != nil {
		s.add(format.Source{Name: "snapshots", State: format.Failed, Reason: err.Error()}, "", "")
		return
	}
	defer snapshots.Close()
	s.add(snapshots.Source(time.Now(), time.Now()), "kernel texts, once a second", "the series of counters")
}
