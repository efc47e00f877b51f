//go:build linux

package recorder

import (
	"fmt"
	"math"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/spikebox/spikebox/recorder/budget"
	"github.com/spikebox/spikebox/recorder/capture"
	"github.com/spikebox/spikebox/recorder/control"
)

// say tells the operator what is armed: the last line has on what, by which triggers, and how far back.
func (r *Recorder) say() {
	for _, line := range r.ways() {
		r.cfg.Log.Info(line)
	}
	memory := r.memory()
	text := fmt.Sprintf("armed on %s: %s; %v before and %v after, bundles in %s",
		r.interfaces(), r.which(), r.cfg.Before, r.cfg.After, r.cfg.Dir)
	if memory != "" {
		text += "; " + memory
	}
	r.cfg.Log.Info(text, "event", "armed", "interfaces", r.recorded(), "triggers", r.watched(), "before", r.cfg.Before.String(),
		"after", r.cfg.After.String(), "dir", r.cfg.Dir, "memory", memory)
}

// watched is what fires.
func (r *Recorder) watched() []string {
	what := slices.Clone(r.cfg.expressions())
	for _, p := range r.patterns {
		what = append(what, "kernel log ~ "+p.String())
	}
	return what
}

// sayUnseen tells of other network namespaces, unless the operator has chosen one. It looks at every process.
func (c *Config) sayUnseen() {
	if c.NetNS != "" {
		return
	}
	if text := unseen(c.Root); text != "" {
		c.Log.Info(text, "event", "netns")
	}
}

// which is what fires, for a line.
func (r *Recorder) which() string {
	if len(r.cfg.Triggers)+len(r.patterns) == 0 {
		return fmt.Sprintf("the %d default triggers, which spikebox status lists", len(r.watched()))
	}
	return strings.Join(r.watched(), ", ")
}

// interfaces names what is recorded.
func (r *Recorder) interfaces() string {
	if r.rings.Packets == nil {
		return "no interface (packets are not recorded)"
	}
	if names := r.recorded(); len(names) > 0 {
		return strings.Join(names, ", ")
	}
	return "no interface yet"
}

// recorded names the interfaces that have a ring.
func (r *Recorder) recorded() (names []string) {
	if r.rings.Packets == nil {
		return nil
	}
	for _, s := range r.rings.Packets.Status() {
		switch {
		case s.RingBytes > 0 && s.State == capture.Missing: // its ring waits for it
			names = append(names, s.Name+" (missing)")
		case s.RingBytes > 0:
			names = append(names, s.Name)
		}
	}
	return names
}

// ways says how packets are captured, and where it is not by tcx, why.
func (r *Recorder) ways() (lines []string) {
	if r.rings.Packets == nil {
		return nil
	}
	names := map[string][]string{} // of interfaces, by what is to be said of them
	for _, s := range r.rings.Packets.Status() {
		if s.RingBytes == 0 {
			continue
		}
		how := "by " + s.Way.Variant()
		if s.Why != "" {
			how += " (" + s.Why + ")"
		}
		if names[how] == nil {
			lines = append(lines, how)
		}
		names[how] = append(names[how], s.Name)
	}
	for i, how := range lines {
		lines[i] = "packets of " + strings.Join(names[how], ", ") + " are captured " + how
	}
	return lines
}

// status tells of the recorder as it is between two ticks.
func (r *Recorder) status() control.Status {
	cannot, _, _ := blind(r.parsed, r.rings.Board.Columns())
	s := control.Status{
		Program: r.cfg.Build.Program + " " + r.cfg.Build.Version, PID: os.Getpid(), Host: r.host.Name,
		Armed: r.since.UTC(), LastTick: r.ticked.UTC(), Triggers: r.watched(), Vitals: map[string]float64{},
		Pending: r.incident != nil || r.writing, Bundles: r.written, LastBundle: r.last.Path, LeftOut: r.last.LeftOut, Fallback: r.last.Fallback, Lost: r.lost,
		Suppressed: r.triggers.Suppressed, HeldBack: heldBack(r.triggers.HeldBack(time.Now())), Blind: cannot,
		MissedTicks: r.missed, LogDropped: r.log.dropped.Load(),
	}
	s.Drill = r.drill
	if r.hook != nil {
		counts := control.OnBundle(r.hook.Counts())
		s.OnBundle = &counts
	}
	if r.failed != nil {
		s.LastError = r.failed.Error()
	}
	s.Interfaces = r.ringStatus()
	for _, c := range r.rings.Board.Columns() {
		if !math.IsNaN(c.Value) { // JSON has no NaN, and 0 would be a measurement
			s.Vitals[c.Name] = c.Value
		}
	}
	// Of the window that a bundle would have now, so that a gap of last week is not shown for ever.
	now := time.Now()
	start := r.start(now)
	if r.rings.NoPackets != nil {
		s.Sources = append(s.Sources, r.rings.PacketsRefused())
	}
	s.Sources = append(s.Sources, r.rings.Board.Sources(start, now)...)
	s.Sources = append(s.Sources, r.rings.Snapshots.Source(start, now))
	s.Sources = append(s.Sources, r.rings.Trace.Sources(start, now, time.Time.UTC)...)
	s.Budget = r.budget.State(start, now, time.Time.UTC)
	budget.Mark(s.Sources, s.Budget)
	return s
}

// ringStatus tells of each interface's ring.
func (r *Recorder) ringStatus() (all []control.InterfaceStatus) {
	if r.rings.Packets == nil {
		return nil
	}
	for _, i := range r.rings.Packets.Status() {
		s := control.InterfaceStatus{Name: i.Name, State: string(i.State), Reason: i.Reason,
			Capture: i.Way.Variant(), Why: i.Why, Covered: i.Covered.UTC(), Ring: i.RingBytes, Packets: i.Packets, Lost: i.Drops,
			Less: i.Less, Rate: i.Reach.Rate, Reach: i.Reach.Back.Seconds(), Need: i.Reach.Need, Packed: i.Packed, PackedBytes: i.PackedBytes, Unpacked: i.Unpacked}
		if i.Reach.Need > 0 {
			s.Short = far(i.Reach, r.cfg.Before)
		}
		all = append(all, s)
	}
	return all
}
