package story

import (
	"fmt"
	"slices"

	"github.com/spikebox/spikebox/analyzer/check"
	"github.com/spikebox/spikebox/analyzer/plot"
	"github.com/spikebox/spikebox/analyzer/subject"
	"github.com/spikebox/spikebox/analyzer/timeline"
	"github.com/spikebox/spikebox/format/unit"
)

// telling draws what was measured of the trigger where no check explains it, in what a finding can be seen, or what moved
// most. A number that never changed tells nothing: it is drawn only where there is no other.
func (t *teller) telling() *Exhibit {
	var names []string
	if b := t.Doc.Bundle; b != nil && b.Trigger.Vital != "" {
		names = append(names, b.Trigger.Vital)
	}
	for _, f := range t.incident() {
		for _, s := range f.Shown(t.Case.Lines) {
			names = append(names, s.Name)
		}
		names = append(names, seriesOf(f)...)
	}
	for i := range t.Doc.Moved {
		names = append(names, t.Doc.Moved[i].Series)
	}
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

// tells draws the series of one name; those of CPUs have one together.
func (t *teller) tells(name string, all []*timeline.Series) *Exhibit {
	r := t.base("telling", name, all[0].RateUnit())
	r.Height = 210
	for _, s := range all {
		r.Lines = append(r.Lines, lineOf(s, s.Name))
	}
	if b := t.Doc.Bundle; b != nil && b.Trigger.Vital == name {
		r.Limit, r.LimitName = b.Trigger.Limit, "limit"
	}
	r.Alt = rowAlt(&r)
	return &Exhibit{Picture: r.Picture(), Caption: "Read from " + all[0].Source + "."}
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
