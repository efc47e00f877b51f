// Package story decides what a report of an incident says, and in which order: the sentence that names the
// culprit, the drawing that explains it, what to do first, what was ruled out and what is not known, rows of
// numbers over time, and for each finding its proof. Writers, HTML and Markdown, set what it says and add
// nothing.
package story

import (
	"cmp"
	"fmt"
	"time"

	"github.com/spikebox/spikebox/analyzer/check"
	"github.com/spikebox/spikebox/analyzer/evidence"
	"github.com/spikebox/spikebox/analyzer/internal/words"
	"github.com/spikebox/spikebox/analyzer/plot"
	"github.com/spikebox/spikebox/analyzer/report"
	"github.com/spikebox/spikebox/analyzer/timeline"
	"github.com/spikebox/spikebox/format"
)

// Story is a report, in the order in which it is read.
type Story struct {
	Title    string
	Asked    string // the title that a reader wanted; empty: nobody asked for one
	Lead     string // one sentence that names the culprit with its numbers
	More     string // what the verdict says beyond it
	Impact   []string
	State    State
	Facts    []report.Fact
	Strip    *plot.Picture
	Explain  []Exhibit // the first is the one that explains; empty where nothing is to be drawn
	Fix      []string
	RuledOut []report.Absent
	Unknown  []Gap
	Rows     []Row
	Shaded   string   // the finding whose seconds are shaded in all rows; empty: none
	Still    []string // rows in which nothing moved
	Findings []Finding
	Moments  []Moment
	Tables   []Table
	Doc      *report.Document
	Zone     *time.Location // of a second clock; nil: none
}

// State says whether the evidence was all there.
type State struct {
	Word string // complete, lossy, damaged
	Text string
}

// Exhibit is a drawing with what a reader needs beside it.
type Exhibit struct {
	Picture *plot.Picture
	Caption string
	Filter  string // Wireshark's display filter of the packets that are drawn
}

// Gap is what could not be told, for one reason.
type Gap struct {
	IDs      []string
	Why      string
	NextTime string
}

// Moment is an entry of the timeline.
type Moment struct {
	At   time.Time
	What string
}

// Options are what a reader wants of a story. The zero value is good.
type Options struct {
	Title string         // instead of host, time and trigger
	Zone  *time.Location // of a second clock beside UTC; nil: none
}

// Source is what a story is made of.
type Source struct {
	Case  *check.Case
	Doc   *report.Document
	Flows *Flows // nil where nobody collected them
	Open  Opener // nil: no second look at the packets
	// Bundle opens a bundle by its path; nil: no second look at its texts.
	Bundle func(path string) (*format.Reader, error)
	Options
}

// teller holds what its parts need while a story is made.
type teller struct {
	Source
	window  plot.Span
	trigger int64 // Unix ns; 0 without one
	wanted  map[ends]*wanted
	order   []*wanted
	sums    []report.Histogram
}

// Make tells the story. An error means that the packets could not be read again.
func Make(from Source) (*Story, error) {
	t := &teller{Source: from, wanted: map[ends]*wanted{}}
	t.window = plot.Span{Start: t.Case.Window.Start, End: max(t.Case.Window.End, t.Case.Window.Start+1)}
	if b := t.Doc.Bundle; b != nil && !b.Trigger.Time.IsZero() {
		t.trigger = b.Trigger.Time.UnixNano()
	}
	if t.Zone != nil {
		t.Doc.In(t.Zone)
	}
	t.want()
	if err := fetch(t.order, t.Case.Evidence, t.Open); err != nil {
		return nil, fmt.Errorf("read packets again: %w", err)
	}
	t.sums = t.latencies()
	s := &Story{Doc: t.Doc, Title: cmp.Or(t.Title, t.title()), Asked: t.Title, Zone: t.Zone}
	s.Lead, s.More = t.lead()
	s.Impact = t.impact()
	s.State = t.state()
	s.Facts = t.Doc.Facts()
	s.Strip = t.strip()
	s.Explain = t.explain()
	s.Fix = t.fix()
	s.RuledOut = t.Doc.RuledOut()
	s.Unknown = t.gaps()
	s.Rows, s.Still = t.rows()
	if bands := t.bands(); len(bands) > 0 {
		s.Shaded = t.Doc.Findings[bands[0].Finding].ID
	}
	s.Findings = t.findings()
	s.Moments = t.moments()
	s.Tables = t.tables()
	return s, nil
}

// title names host and trigger.
func (t *teller) title() string {
	b := t.Doc.Bundle
	if b == nil {
		return "Incident report"
	}
	what := b.Trigger.Expr
	if what == "" {
		what = b.Trigger.Kind
	}
	return fmt.Sprintf("%s, %s: %s", b.Host.Name, b.Trigger.Time.UTC().Format("2006-01-02 15:04:05 UTC"), what)
}

// lead splits the verdict after its first sentence: that of the worst root, or that nothing was found.
func (t *teller) lead() (lead, more string) {
	verdict := t.Doc.Verdict
	lead = t.Doc.Happened()
	if roots := t.Doc.Roots(); len(roots) > 0 {
		lead = roots[0].Headline
	}
	if len(lead) <= len(verdict) && verdict[:len(lead)] == lead {
		more = verdict[len(lead):]
	}
	return lead, more
}

// state says what the evidence is worth.
func (t *teller) state() State {
	switch d := t.Doc; {
	case d.Damaged():
		return State{"damaged", "the bundle is damaged; what is whole was analysed"}
	case d.EvidenceLost:
		return State{"lossy", "some evidence was lost; counts are lower bounds where that is said"}
	case d.Bundle == nil:
		return State{"packets only", "a capture without a bundle: only what packets tell"}
	case len(d.Unknown) > 0:
		return State{"complete", fmt.Sprintf("nothing was lost; %s could not be asked on this host", words.Plural(len(d.Unknown), "question", "questions"))}
	}
	return State{"complete", "no source lost anything"}
}

// incident is the worst root and what it causes; the first finding where there is no root.
func (t *teller) incident() []*check.Finding {
	roots := t.Doc.Roots()
	if len(roots) == 0 {
		return t.Doc.Findings[:min(1, len(t.Doc.Findings))]
	}
	return append([]*check.Finding{roots[0]}, t.Doc.Caused(roots[0])...)
}

// fix is what to do, of the worst roots first.
func (t *teller) fix() []string {
	const most = 5
	var all []string
	for _, f := range t.Doc.Roots() {
		for _, r := range f.Remedy {
			if len(all) < most {
				all = append(all, report.RemedyText(r))
			}
		}
	}
	return all
}

// gaps puts together what could not be told for the same reason.
func (t *teller) gaps() []Gap {
	var all []Gap
	for _, u := range t.Doc.Unknown {
		if n := len(all); n > 0 && all[n-1].Why == u.Why && all[n-1].NextTime == u.NextTime {
			all[n-1].IDs = append(all[n-1].IDs, u.ID)
			continue
		}
		all = append(all, Gap{[]string{u.ID}, u.Why, u.NextTime})
	}
	return all
}

// level is a severity as drawings know it.
func level(s check.Severity) int {
	return map[check.Severity]int{check.Warning: plot.Alert, check.Critical: plot.Alarm}[s]
}

// span is a finding's time.
func span(f *check.Finding) plot.Span {
	return plot.Span{Start: f.Start.UnixNano(), End: f.End.UnixNano()}
}

// mostBands bounds the findings that are drawn: more cover each other.
const mostBands = 12

// bands are the times of findings, for drawings. Remarks about the evidence as a whole would cover everything, and what is only worth
// knowing is drawn where it is the cause of what hurts.
func (t *teller) bands() (all []plot.Band) {
	causes := map[string]bool{}
	for _, f := range t.Doc.Findings {
		for _, c := range f.Causes {
			causes[c.ID+" "+c.Object] = causes[c.ID+" "+c.Object] || f.Severity != check.Info
		}
	}
	for i, f := range t.Doc.Findings {
		if len(all) < mostBands && !f.Remark() && (f.Severity != check.Info || causes[f.ID+" "+f.Object]) {
			all = append(all, plot.Band{Finding: i, Span: span(f), Level: level(f.Severity)})
		}
	}
	return all
}

// strip is the window at a glance; nil where no time is known.
func (t *teller) strip() *plot.Picture {
	if t.Case.Window.Start == 0 {
		return nil
	}
	s := plot.Strip{Name: "strip", Title: "The window, the trigger and the findings", Window: t.window, Trigger: t.trigger}
	for _, b := range t.bands() {
		f := t.Doc.Findings[b.Finding]
		s.Bars = append(s.Bars, plot.Bar{Band: b, Label: f.ID + "  " + f.Object})
	}
	if p := t.Case.Evidence.Packets; p != nil && p.Totals.Packets > 0 {
		s.Packets = plot.Span{Start: p.First, End: p.Last}
	}
	s.Alt = fmt.Sprintf("A time axis from %s to %s UTC", words.Clock(t.Doc.Window.Start), words.Clock(t.Doc.Window.End))
	if t.trigger != 0 {
		s.Alt += ", the trigger at " + words.Clock(evidence.Unix(t.trigger))
	}
	for _, b := range s.Bars {
		f := t.Doc.Findings[b.Finding]
		s.Alt += fmt.Sprintf("; %s %s", f.ID, words.Span(f.Start, f.End))
	}
	s.Alt += "."
	return s.Picture()
}

// series gives one by its name, nil where there is none.
func (t *teller) series(name string) *timeline.Series { return t.Case.Lines.Get(name) }
