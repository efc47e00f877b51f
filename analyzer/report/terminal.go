package report

import (
	"fmt"
	"io"
	"strings"

	"github.com/spikebox/spikebox/analyzer/check"
	"github.com/spikebox/spikebox/analyzer/internal/words"
	"github.com/spikebox/spikebox/format/plain"
)

// Style says how text is laid out.
type Style struct {
	Width int  // columns; lines are broken before it
	Color bool // ANSI colours
	ASCII bool // drawings without block elements
}

// Narrowest and widest columns that text is set in: below, words do not fit; above,
// lines are hard to read.
const (
	narrowest = 40
	widest    = 120
)

// Text writes the verdict, the findings in the order of causes, what was ruled out and
// what could not be told.
func Text(w io.Writer, d *Document, style Style) error {
	style.Width = min(max(style.Width, narrowest), widest)
	p := &page{w: plain.NewWriter(w), Style: style}
	if d.Title != "" {
		p.paragraph("", plain.Bold, plain.Line(d.Title))
		p.line()
	}
	p.paragraph("", plain.Bold, d.Verdict)
	p.line()
	p.about(d)
	p.strip(&d.Strip)
	depth := Depths(d.Findings)
	for _, f := range d.Findings {
		p.line()
		p.finding(f, depth[f], strings.Contains(d.Verdict, f.Headline))
	}
	p.between(d.Between)
	if d.Unanswered() && len(d.Moved) > 0 {
		p.section("What moved most")
		for i := range d.Moved {
			p.moved(&d.Moved[i])
		}
	}
	if out := d.RuledOut(); len(out) > 0 {
		p.section("Ruled out")
		for _, a := range out {
			p.entry(a.ID, a.Why)
		}
	}
	if len(d.Unknown) > 0 {
		p.section("Could not tell")
		p.unknown(d.Unknown)
	}
	return p.err
}

// unknown says what could not be told, and what helps once for all that need it. Of a bare capture it names in one go
// what no capture holds.
func (p *page) unknown(all []Unknown) {
	var beyond []string
	next := ""
	for i, u := range all {
		if u.beyond {
			beyond, next = append(beyond, u.ID), u.NextTime
			continue
		}
		p.entry(u.ID, u.Why)
		if i+1 == len(all) || all[i+1].NextTime != u.NextTime {
			p.entry("", "Next time: "+u.NextTime+".")
		}
	}
	if len(beyond) > 0 {
		p.entry("not in packets", "what these checks ask of the host is not in a bare capture: "+strings.Join(beyond, ", "))
		p.entry("", "Next time: "+next+".")
	}
}

// strip draws the rows that matter, where there is room for them.
func (p *page) strip(s *Strip) {
	t := newTable(s.Series, s.Window, s.Trigger, p.Style)
	if len(s.Series) == 0 || t.width() > p.Width {
		return
	}
	p.section("Over time")
	p.line(normal(t.head()))
	for _, series := range s.Series {
		p.line(normal(t.row(series)))
	}
}

// Depths says how many causes stand above each finding.
func Depths(findings []*check.Finding) map[*check.Finding]int {
	depth := map[*check.Finding]int{}
	for _, f := range findings { // causes come before their effects
		for _, e := range f.Effects(findings) {
			depth[e] = max(depth[e], depth[f]+1)
		}
	}
	return depth
}

// page sets lines of text.
type page struct {
	w   *plain.Writer
	err error // the first of writing
	Style
}

// severityWidth is the longest severity's.
const severityWidth = len(check.Critical)

// severity is padded before it is painted, as escape sequences take no columns.
func severity(s check.Severity) plain.Span {
	style := map[check.Severity]plain.Style{check.Critical: plain.Alarm, check.Warning: plain.Notice, check.Info: plain.Remark}[s]
	return plain.Span{Style: style, Text: fmt.Sprintf("%-*s", severityWidth, s)}
}

// normal is text that is not painted.
func normal(s string) plain.Span { return plain.Span{Text: s} }

// line sets a line, without blanks at its end: text is also diffed and pasted.
func (p *page) line(spans ...plain.Span) {
	if p.err == nil {
		p.err = p.w.Line(p.Color, spans...)
	}
}

// paragraph breaks text into lines, each after an indentation.
func (p *page) paragraph(indent string, style plain.Style, text string) {
	for _, l := range wrap(text, p.Width-runes(indent)) {
		p.line(normal(indent), plain.Span{Style: style, Text: l})
	}
}

// section sets a heading with an empty line before it.
func (p *page) section(title string) {
	p.line()
	p.line(plain.Span{Style: plain.Bold, Text: title})
}

// label is the width of the column of names, entry's left half.
const label = 22 // the longest ID is retransmission-burst

// entry sets a name and its text beside it; an empty name goes on with the one before.
func (p *page) entry(name, text string) {
	for i, l := range wrap(text, p.Width-label-2) {
		if i > 0 {
			name = ""
		}
		p.line(normal("  " + name + strings.Repeat(" ", max(1, label-runes(name))) + l))
	}
}

// about says what was looked at.
func (p *page) about(d *Document) {
	for _, f := range d.Facts() {
		p.entry(f.Name, f.Text)
	}
}

// finding sets one finding, indented below its cause. Its headline is left out where it
// has just been said as the verdict.
func (p *page) finding(f *check.Finding, depth int, said bool) {
	indent := strings.Repeat("    ", depth)
	if depth > 0 {
		indent = indent[:len(indent)-4] + "└── "
	}
	p.head(indent, f)
	indent = strings.Repeat("    ", depth) + "  "
	if !said {
		p.paragraph(indent, plain.Normal, f.Headline)
	}
	p.paragraph(indent, plain.Normal, f.Detail)
	for _, c := range f.Causes {
		p.paragraph(indent, plain.Normal, fmt.Sprintf("Caused by %s (%s): %s.", c.ID, c.Object, c.Because))
	}
	for i, item := range f.Evidence {
		p.detail(indent, first(i, "evidence"), ItemText(item), plain.Dim)
	}
	for i, r := range f.Remedy {
		p.detail(indent, first(i, "remedy"), RemedyText(r), plain.Normal)
	}
}

// head sets severity, check, object and time in one line, or in as many as it takes.
func (p *page) head(indent string, f *check.Finding) {
	object := plain.Line(f.Object)
	left := []plain.Span{normal(indent), severity(f.Severity), normal("  "), {Style: plain.Bold, Text: f.ID}}
	used := runes(indent) + severityWidth + 2 + runes(f.ID)
	if used+2+runes(object) <= p.Width {
		left = append(left, normal("  "+object))
		used += 2 + runes(object)
	} else {
		p.line(left...)
		left = []plain.Span{normal(strings.Repeat(" ", runes(indent)) + object)}
		used = runes(indent) + runes(object)
	}
	when := words.Span(f.Start, f.End)
	if used+2+runes(when) > p.Width {
		p.line(left...)
		left, used = nil, 0
	}
	p.line(append(left, normal(strings.Repeat(" ", max(0, p.Width-used-runes(when)))), plain.Span{Style: plain.Dim, Text: when})...)
}

// first names the first of several details only.
func first(i int, name string) string {
	if i > 0 {
		return ""
	}
	return name
}

// detail sets a named line of a finding.
func (p *page) detail(indent, name, text string, style plain.Style) {
	const column = 10
	for i, l := range wrap(text, p.Width-runes(indent)-column) {
		if i > 0 {
			name = ""
		}
		p.line(normal(indent+fmt.Sprintf("%-*s", column, name)), plain.Span{Style: style, Text: l})
	}
}
