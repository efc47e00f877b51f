package report

import (
	"bufio"
	"fmt"
	"io"
	"strings"

	"github.com/spikebox/spikebox/analyzer/check"
	"github.com/spikebox/spikebox/analyzer/evidence"
	"github.com/spikebox/spikebox/analyzer/internal/words"
	"github.com/spikebox/spikebox/format/unit"
)

// Style says how text is laid out.
type Style struct {
	Width int  // columns; lines are broken before it
	Color bool // ANSI colours
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
	p := &page{w: bufio.NewWriter(w), Style: style}
	p.paragraph("", p.bold, d.Verdict)
	p.line("")
	p.about(d)
	depth := depths(d.Findings)
	for _, f := range d.Findings {
		p.line("")
		p.finding(f, depth[f], strings.Contains(d.Verdict, f.Headline))
	}
	if d.unanswered() && len(d.Moved) > 0 {
		p.section("What moved most")
		for i := range d.Moved {
			p.moved(&d.Moved[i])
		}
	}
	if out := d.ruledOut(); len(out) > 0 {
		p.section("Ruled out")
		for _, a := range out {
			p.entry(a.ID, a.Why)
		}
	}
	if len(d.Unknown) > 0 {
		p.section("Could not tell")
		for i, u := range d.Unknown {
			p.entry(u.ID, u.Why)
			if i+1 == len(d.Unknown) || d.Unknown[i+1].NextTime != u.NextTime { // said once for all that need it
				p.entry("", "Next time: "+u.NextTime+".")
			}
		}
	}
	return p.w.Flush()
}

// depths says how many causes stand above each finding.
func depths(findings []*check.Finding) map[*check.Finding]int {
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
	w *bufio.Writer
	Style
}

// The colours are the terminal's own, so that they fit light and dark backgrounds.
func (p *page) paint(code, s string) string {
	if !p.Color || s == "" {
		return s
	}
	return "\x1b[" + code + "m" + s + "\x1b[0m"
}

// bold, dim and plain are ways to paint; plain is for where none is wanted.
func (p *page) bold(s string) string  { return p.paint("1", s) }
func (p *page) dim(s string) string   { return p.paint("2", s) }
func (p *page) plain(s string) string { return s }

// severityWidth is the longest severity's.
const severityWidth = len(check.Critical)

// severity is padded before it is painted, as escape sequences take no columns.
func (p *page) severity(s check.Severity) string {
	code := map[check.Severity]string{check.Critical: "1;31", check.Warning: "1;33", check.Info: "36"}[s]
	return p.paint(code, fmt.Sprintf("%-*s", severityWidth, s))
}

// line ends a line without blanks at its end: text is also diffed and pasted.
func (p *page) line(s string) { fmt.Fprintln(p.w, strings.TrimRight(s, " ")) }

// paragraph breaks text into lines, each after an indentation.
func (p *page) paragraph(indent string, paint func(string) string, text string) {
	for _, l := range wrap(text, p.Width-runes(indent)) {
		p.line(indent + paint(l))
	}
}

// section sets a heading with an empty line before it.
func (p *page) section(title string) {
	p.line("")
	p.line(p.bold(title))
}

// label is the width of the column of names, entry's left half.
const label = 20

// entry sets a name and its text beside it; an empty name goes on with the one before.
func (p *page) entry(name, text string) {
	for i, l := range wrap(text, p.Width-label-2) {
		if i > 0 {
			name = ""
		}
		p.line("  " + name + strings.Repeat(" ", max(1, label-runes(name))) + l)
	}
}

// about says what was looked at.
func (p *page) about(d *Document) {
	lasted := d.Window.End.Sub(d.Window.Start)
	when := fmt.Sprintf("%s to %s UTC, %s", d.Window.Start.Format("2006-01-02 15:04:05.000"), words.Clock(d.Window.End), unit.Duration(lasted))
	if b := d.Bundle; b != nil {
		p.entry("host", fmt.Sprintf("%s, Linux %s, %s", b.Host.Name, b.Host.Kernel, words.Plural(b.Host.CPUs, "CPU", "CPUs")))
		p.entry("window", when)
		p.entry("trigger", trigger(d))
	} else if d.Totals.Packets > 0 { // without any, no time is known
		p.entry("window", when)
	}
	packets := fmt.Sprintf("%s in %s", words.Plural(d.Totals.Packets, "packet", "packets"), words.Plural(d.Totals.Flows, "connection", "connections"))
	var again uint64
	for _, n := range d.Totals.Retransmitted {
		again += n
	}
	packets += fmt.Sprintf("; %s sent again", words.Plural(again, "segment", "segments"))
	if d.Totals.Dropped > 0 {
		packets += fmt.Sprintf("; %s lost by the capture", unit.Count(d.Totals.Dropped))
	}
	if unseen := evidence.Unseen(d.Totals.Undecoded); unseen != "" {
		packets += "; " + unseen
	}
	p.entry("packets", packets)
	if d.Bundle != nil && d.Bundle.Filter != "" {
		p.entry("recorded", "only "+d.Bundle.Filter+"; nothing is known of other packets")
	}
	if d.Damaged() {
		p.entry("damage", strings.Join(d.Bundle.Damage, "; "))
	}
}

// trigger says why the bundle was written: by which rule and value, or by whom.
func trigger(d *Document) string {
	t := d.Bundle.Trigger
	text := t.Expr
	if text == "" {
		text = t.Kind
	}
	if t.Reason != "" {
		text += " (" + t.Reason + ")"
	}
	text += " at " + words.Clock(t.Time)
	if t.Vital == "" {
		return text
	}
	return text + ", when it was " + unit.Prose(t.Value, t.Unit)
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
		p.paragraph(indent, p.plain, f.Headline)
	}
	p.paragraph(indent, p.plain, f.Detail)
	for _, c := range f.Causes {
		p.paragraph(indent, p.plain, fmt.Sprintf("Caused by %s (%s): %s.", c.ID, c.Object, c.Because))
	}
	for i, item := range f.Evidence {
		p.detail(indent, first(i, "evidence"), itemText(item), p.dim)
	}
	for i, r := range f.Remedy {
		p.detail(indent, first(i, "remedy"), remedyText(r), p.plain)
	}
}

// head sets severity, check, object and time in one line, or in as many as it takes.
func (p *page) head(indent string, f *check.Finding) {
	object := Plain(f.Object)
	left := indent + p.severity(f.Severity) + "  " + p.bold(f.ID)
	used := runes(indent) + severityWidth + 2 + runes(f.ID)
	if used+2+runes(object) <= p.Width {
		left += "  " + object
		used += 2 + runes(object)
	} else {
		p.line(left)
		left = strings.Repeat(" ", runes(indent)) + object
		used = runes(left)
	}
	when := words.Clock(f.Start) + " – " + words.Clock(f.End)
	if used+2+runes(when) > p.Width {
		p.line(left)
		left, used = "", 0
	}
	p.line(left + strings.Repeat(" ", max(0, p.Width-used-runes(when))) + p.dim(when))
}

// first names the first of several details only.
func first(i int, name string) string {
	if i > 0 {
		return ""
	}
	return name
}

// detail sets a named line of a finding.
func (p *page) detail(indent, name, text string, paint func(string) string) {
	const column = 10
	for i, l := range wrap(text, p.Width-runes(indent)-column) {
		if i > 0 {
			name = ""
		}
		p.line(indent + fmt.Sprintf("%-*s", column, name) + paint(l))
	}
}
