package story

import (
	"fmt"
	"slices"
	"strings"

	"github.com/spikebox/spikebox/analyzer/check"
	"github.com/spikebox/spikebox/analyzer/moved"
	"github.com/spikebox/spikebox/analyzer/plot"
	"github.com/spikebox/spikebox/analyzer/subject"
	"github.com/spikebox/spikebox/analyzer/timeline"
	"github.com/spikebox/spikebox/format/unit"
)

// telling draws what a finding rests on; nil where no series shows it.
func (t *teller) telling(f *check.Finding) *Exhibit { return t.first(t.seenIn(f)) }

// seenIn names the series in which a finding can be seen.
func (t *teller) seenIn(f *check.Finding) (names []string) {
	for _, s := range f.Shown(t.Case.Lines) {
		names = append(names, s.Name)
	}
	return append(names, seriesOf(f)...)
}

// untold draws what a reader looks for where nothing else explains: what was measured of the trigger, in what the findings can be
// seen, and what moved most. Where the report's own sentence says only what moved, that comes before remarks.
func (t *teller) untold() *Exhibit {
	var names, seen, moves []string
	if b := t.Doc.Bundle; b != nil && b.Trigger.Vital != "" {
		names = append(names, b.Trigger.Vital)
	}
	for _, f := range t.incident() {
		seen = append(seen, t.seenIn(f)...)
	}
	for i := range t.Doc.Moved {
		moves = append(moves, t.Doc.Moved[i].Series)
	}
	if t.onlyMoved() {
		seen, moves = moves, seen
	}
	return t.first(slices.Concat(names, seen, moves))
}

// onlyMoved says whether what moved is all that can be said.
func (t *teller) onlyMoved() bool { return t.Doc.Unanswered() && moved.Stands(t.Doc.Moved) }

// first draws the first of some series. A number that never changed tells nothing: it is drawn only where there is no other.
func (t *teller) first(names []string) *Exhibit {
	for _, changed := range []bool{true, false} {
		for _, name := range names {
			found, _ := t.Case.Lines.Match(name) // what is no pattern names no series
			found = slices.DeleteFunc(found, func(s *timeline.Series) bool { return s.Changes() != changed })
			if len(found) > 0 {
				return t.tells(name, found[:min(len(found), mostLinesInRow)])
			}
		}
	}
	return nil
}

// backlog draws what the CPUs' backlogs dropped.
func (t *teller) backlog(*check.Finding) *Exhibit {
	const name = "softnet.cpu*.dropped"
	found, _ := t.Case.Lines.Match(name) // the pattern is well formed
	found = slices.DeleteFunc(found, func(s *timeline.Series) bool { return !s.Changes() })
	if len(found) == 0 {
		return nil
	}
	e := t.tells(name, found[:min(len(found), mostLinesInRow)])
	e.Caption = "Packets that found a CPU's backlog full. " + e.Caption
	return e
}

// tells draws the series of one name; those of CPUs have one together.
func (t *teller) tells(name string, all []*timeline.Series) *Exhibit {
	r := t.base("telling", titleOf(name), all[0].RateUnit())
	r.Height = 210
	for _, s := range all {
		r.Lines = append(r.Lines, t.line(s, s.Name))
	}
	if b := t.Doc.Bundle; b != nil && b.Trigger.Vital == name {
		r.Limit, r.LimitName = b.Trigger.Limit, "limit of the trigger"
	}
	r.Alt = rowAlt(&r)
	return &Exhibit{Picture: r.Picture(), Caption: "Read from " + all[0].Source + "."}
}

// flood draws what came of the SYNs of a flood: they are many, and hardly a connection more than before is one.
func (t *teller) flood(*check.Finding) *Exhibit {
	r := t.base("flood", "SYNs that came, and connections that came of them", unit.PerSecond)
	r.Height = 210
	for _, of := range []struct{ pattern, name string }{{"packets.*syn", "SYNs"}, {"packets.*syn.answered", "of them answered"}, {"packets.*connected", "connections"}, {"cookies", "SYN cookies sent"}} {
		found, _ := t.Case.Lines.Match(of.pattern) // the patterns are well formed
		for _, s := range found {
			if s.Changes() && !strings.Contains(s.Name, "outbound") && len(r.Lines) < mostLinesInRow {
				r.Lines = append(r.Lines, t.line(s, of.name))
			}
		}
	}
	if len(r.Lines) == 0 {
		return nil
	}
	r.Alt = rowAlt(&r)
	return &Exhibit{Picture: r.Picture(), Caption: "Each SYN of a flood takes a place or costs an answer, and no connection comes of it."}
}

// busy draws the CPUs.
func (t *teller) busy(*check.Finding) *Exhibit {
	r := t.base("cpus", "CPUs, busy", unit.Ratio)
	if r.Lines, r.Height = t.cpus(), 210; len(r.Lines) < 2 { // with one there is nothing to compare
		return nil
	}
	r.Alt = rowAlt(&r)
	return &Exhibit{Picture: r.Picture(), Caption: "The part of each CPU's time in which it was not idle."}
}

// pings draws how long echo requests of a finding's peers waited for their replies, of those that waited long.
func (t *teller) pings(f *check.Finding) *Exhibit {
	p := t.Case.Evidence.Packets
	if p == nil {
		return nil
	}
	r := t.base("pings", "Echo requests that were answered late", unit.Seconds)
	r.Height = 210
	for _, ping := range p.Pings {
		about := slices.ContainsFunc(f.Subjects, func(s subject.Subject) bool {
			return subject.Meets(s, subject.Peer{Addr: ping.Asker}) || subject.Meets(s, subject.Peer{Addr: ping.Asked})
		})
		if len(ping.Late) == 0 || len(r.Lines) == mostLinesInRow || !about && len(f.Subjects) > 0 {
			continue
		}
		l := plot.Line{Name: fmt.Sprintf("%v asks %v", ping.Asker, ping.Asked)}
		for i := range ping.Late {
			if late := &ping.Late[i]; late.Delay >= 0 {
				l.T, l.V = append(l.T, late.Time), append(l.V, float64(late.Delay)/1e9)
			}
		}
		r.Lines = append(r.Lines, l)
	}
	if len(r.Lines) == 0 {
		return nil
	}
	r.Alt = rowAlt(&r)
	return &Exhibit{Picture: r.Picture(), Caption: "From request to reply, both seen by the tap, by the time of the request; only replies that took 100 ms or longer."}
}

// seriesOf names the series in a finding's evidence.
func seriesOf(f *check.Finding) (names []string) {
	for _, i := range f.Evidence {
		if i.Kind == "series" || i.Kind == "counter" {
			names = append(names, i.Where)
		}
	}
	return names
}
