package report

import (
	"fmt"
	"io"
	"strings"
	"text/tabwriter"

	"github.com/spikebox/spikebox/analyzer/check"
	"github.com/spikebox/spikebox/format/plain"
)

// ListChecks prints checks by name, a line for each, in the order of the list.
func ListChecks(w io.Writer, all []*check.Check) error {
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	for _, c := range all {
		fmt.Fprintf(table, "%s\t%s\n", c.ID, c.Doc)
	}
	return table.Flush()
}

// Explain prints a check's literal: what it is for, what may cause its findings, and every number with its
// reason.
func Explain(w io.Writer, c *check.Check) error {
	const width = 80 // a terminal's
	var b strings.Builder
	para := func(indent, text string) {
		for i, line := range wrap(text, width-len(indent)-2) {
			if i > 0 {
				line = "  " + line
			}
			b.WriteString(indent + line + "\n")
		}
	}
	para("", c.ID+": "+c.Doc)
	for _, text := range strings.Split(c.Page, "\n\n") {
		b.WriteString("\n" + strings.Join(wrap(text, width), "\n") + "\n")
	}
	b.WriteByte('\n')
	if len(c.Needs) > 0 {
		para("", "Needs: "+strings.Join(needs(c), ", "))
		b.WriteByte('\n')
	}
	if len(c.Explains) > 0 {
		para("", "Explains triggers on: "+strings.Join(c.Explains, ", "))
		b.WriteByte('\n')
	}
	for i, l := range c.Causes {
		if i == 0 {
			b.WriteString("May be caused by:\n")
		}
		para("  ", l.Cause.ID+": "+l.Because)
	}
	if len(c.Causes) > 0 {
		b.WriteByte('\n')
	}
	for i, l := range c.Limits {
		if i == 0 {
			b.WriteString("Limits:\n")
		}
		para("  ", fmt.Sprintf("%s: %g %s", l.Name, l.Value, l.Unit))
		para("      ", l.Why)
	}
	if len(c.Limits) > 0 {
		b.WriteByte('\n')
	}
	para("", "Reference: "+c.Ref)
	_, err := io.WriteString(w, b.String())
	return err
}

// needs names what a check needs.
func needs(c *check.Check) (names []string) {
	for _, n := range c.Needs {
		names = append(names, n.Name)
	}
	return names
}

// Pages writes what Explain prints of all checks as one document in Markdown.
func Pages(w io.Writer, all []*check.Check) error {
	var b strings.Builder
	b.WriteString("# Checks\n\nWhat `spikebox explain` prints, in one page; `go test ./analyzer/report -update` writes it.\n\n")
	for _, c := range all {
		fmt.Fprintf(&b, "- [%s](#%s): %s\n", c.ID, c.ID, c.Doc)
	}
	for _, c := range all {
		fmt.Fprintf(&b, "\n## %s\n\n%s.\n\n%s\n", c.ID, c.Title, c.Page)
		if len(c.Needs) > 0 {
			fmt.Fprintf(&b, "\n**Needs** %s.\n", strings.Join(needs(c), ", "))
		}
		if len(c.Explains) > 0 {
			fmt.Fprintf(&b, "\n**Explains triggers on** `%s`.\n", strings.Join(c.Explains, "`, `"))
		}
		for i, l := range c.Causes {
			if i == 0 {
				b.WriteString("\n**May be caused by**\n\n")
			}
			fmt.Fprintf(&b, "- [%s](#%s): %s\n", l.Cause.ID, l.Cause.ID, l.Because)
		}
		for i, l := range c.Limits {
			if i == 0 {
				b.WriteString("\n**Limits**\n\n")
			}
			fmt.Fprintf(&b, "- %s: %g %s, because %s\n", l.Name, l.Value, l.Unit, l.Why)
		}
		fmt.Fprintf(&b, "\nReference: %s\n", c.Ref)
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// Answer writes what one check says of the evidence.
func Answer(w io.Writer, d *Document, id string, style Style) error {
	style.Width = min(max(style.Width, narrowest), widest)
	p := &page{w: plain.NewWriter(w), Style: style}
	p.section("Here")
	for _, f := range d.Findings {
		if f.ID == id {
			p.finding(f, 0, false)
		}
	}
	for _, a := range d.Absent {
		if a.ID == id {
			p.entry("ruled out", a.Why)
		}
	}
	for _, u := range d.Unknown {
		if u.ID == id {
			p.entry("could not tell", u.Why)
			p.entry("", "Next time: "+u.NextTime+".")
		}
	}
	return p.err
}
