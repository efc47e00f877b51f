package page

import (
	"bytes"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/spikebox/spikebox/analyzer/check"
	"github.com/spikebox/spikebox/analyzer/internal/words"
	"github.com/spikebox/spikebox/analyzer/plot"
	"github.com/spikebox/spikebox/analyzer/report"
	"github.com/spikebox/spikebox/analyzer/story"
	"github.com/spikebox/spikebox/format/plain"
	"github.com/spikebox/spikebox/format/unit"
)

// marks writes Markdown (CommonMark with the tables of GitHub), the dialect of wikis and issue trackers.
type marks struct{ bytes.Buffer }

// special are the characters that mean something in Markdown, or begin HTML. A stranger's text has none of it.
var special = strings.NewReplacer(
	`\`, `\\`, "`", "\\`", `*`, `\*`, `_`, `\_`, `{`, `\{`, `}`, `\}`, `[`, `\[`, `]`, `\]`, `<`, `&lt;`, `>`, `&gt;`, `&`, `&amp;`,
	`#`, `\#`, `|`, `\|`, `!`, `\!`, `~`, `\~`, `@`, `&#64;`, "\n", " ", "\t", " ",
)

// text makes a text plain, and takes its marks away. What looks like an address of the web is no link.
func text(s string) string {
	s = strings.ReplaceAll(special.Replace(plain.Line(s)), "://", ":&#8203;//")
	return s
}

// code sets a text as it is, within more backquotes than it has in a row.
func code(s string) string {
	s = plain.Line(s)
	fence := "`"
	for strings.Contains(s, fence) {
		fence += "`"
	}
	return fence + " " + s + " " + fence
}

func (m *marks) head(level int, title string) {
	if !bytes.HasSuffix(m.Bytes(), []byte("\n\n")) {
		m.WriteString("\n")
	}
	fmt.Fprintf(m, "%s %s\n\n", strings.Repeat("#", level), text(title))
}

func (m *marks) item(format string, args ...any) { fmt.Fprintf(m, "- "+format+"\n", args...) }

// picture refers to a file beside the report.
func (m *marks) picture(p *plot.Picture) {
	fmt.Fprintf(m, "\n![%s](plots/%s.png)\n", text(p.Alt), p.Name)
}

// Markdown writes the story under the headings of a postmortem.
func Markdown(w io.Writer, s *story.Story) error {
	m := &marks{}
	fmt.Fprintf(m, "# %s\n", text(s.Title))
	m.summary(s)
	m.impact(s)
	m.moments(s)
	m.causes(s)
	m.out(s)
	m.unknown(s)
	m.actions(s)
	m.appendix(s)
	door := plain.NewWriter(w)
	if _, err := m.WriteTo(door); err != nil {
		return fmt.Errorf("write report: %w", err)
	}
	return nil
}

func (m *marks) summary(s *story.Story) {
	m.head(2, "Summary")
	fmt.Fprintf(m, "**%s**%s\n\n", text(s.Lead), text(s.More))
	for _, f := range s.Facts {
		m.item("%s: %s", text(f.Name), text(f.Text))
	}
	m.item("evidence: %s, %s", text(s.State.Word), text(s.State.Text))
	if s.Strip != nil {
		m.picture(s.Strip)
	}
	for i, e := range s.Explain {
		if i > 0 {
			break
		}
		m.exhibit(&e)
	}
}

// exhibit is a drawing with its caption.
func (m *marks) exhibit(e *story.Exhibit) {
	fmt.Fprintf(m, "\n**%s**\n", text(e.Picture.Title))
	m.picture(e.Picture)
	fmt.Fprintf(m, "\n%s\n", text(e.Caption))
}

func (m *marks) impact(s *story.Story) {
	m.head(2, "Impact")
	for _, i := range s.Impact {
		m.item("%s", text(i))
	}
	switch {
	case len(s.Impact) > 0:
	case len(s.Doc.Roots()) > 0: // it is the impact itself
		m.item("%s", text(s.Lead))
	default:
		m.WriteString("No effect on users can be told from the evidence.\n")
	}
}

func (m *marks) moments(s *story.Story) {
	m.head(2, "Timeline in UTC")
	if len(s.Moments) == 0 {
		m.WriteString("No time is known.\n")
		return
	}
	const layout = "2006-01-02 15:04:05.000"
	if s.Zone == nil {
		m.WriteString("| Time | What |\n|---|---|\n")
	} else {
		fmt.Fprintf(m, "| Time | %s | What |\n|---|---|---|\n", text(s.Zone.String()))
	}
	for _, at := range s.Moments {
		fmt.Fprintf(m, "| %s | ", at.At.UTC().Format(layout))
		if s.Zone != nil {
			fmt.Fprintf(m, "%s | ", at.At.In(s.Zone).Format(layout))
		}
		fmt.Fprintf(m, "%s |\n", text(at.What))
	}
}

func (m *marks) causes(s *story.Story) {
	m.head(2, "Root cause and contributing factors")
	if len(s.Findings) == 0 {
		m.WriteString("No check found anything.\n")
	}
	for i := range s.Findings {
		f := &s.Findings[i]
		m.head(3, fmt.Sprintf("%s: %s (%s)", f.Severity, f.ID, f.Object))
		fmt.Fprintf(m, "%s UTC. %s\n", f.When, text(f.Summary))
		for _, b := range f.Because {
			fmt.Fprintf(m, "\n%s\n", text(b))
		}
		m.WriteString("\n")
		for _, item := range f.Items {
			m.item("%s", text(item.Text))
			for _, l := range item.Lines {
				fmt.Fprintf(m, "  - %s\n", code(l))
			}
		}
		if f.Series != nil && f.Severity != check.Info {
			m.picture(f.Series)
		}
	}
	for i, e := range s.Explain {
		if i > 0 {
			m.exhibit(&e)
		}
	}
	m.moved(s)
	m.requests(s)
}

// requests shows what the servers' logs say.
func (m *marks) requests(s *story.Story) {
	all := s.Doc.Requests
	if all == nil || len(all.Slowest) == 0 {
		return
	}
	m.head(3, "Requests, as the servers' logs have them")
	const few = 5
	m.WriteString("| Answered | Client | Request | Status | Took |\n|---|---|---|---|---|\n")
	for i := range all.Slowest[:min(few, len(all.Slowest))] {
		r := &all.Slowest[i]
		fmt.Fprintf(m, "| %s | %s | %s | %d | %s |\n", words.Clock(r.End), text(r.Client), text(r.Request), r.Status, unit.Duration(time.Duration(r.Took*1e6)))
	}
	for i := range s.Rows {
		if p := s.Rows[i].Picture; s.Rows[i].Open && p.Name == "row-log-request" {
			m.picture(p)
		}
	}
}

// moved lists what changed most.
func (m *marks) moved(s *story.Story) {
	if len(s.Doc.Moved) == 0 || !s.Doc.Unanswered() {
		return
	}
	m.head(3, "What moved most")
	for i := range s.Doc.Moved {
		l := &s.Doc.Moved[i]
		m.item("%s: %s", text(l.Series), text(l.Beside()))
	}
}

func (m *marks) out(s *story.Story) {
	m.head(2, "What was ruled out")
	for _, a := range s.RuledOut {
		m.item("%s: %s", text(a.ID), text(a.Why))
	}
	if len(s.RuledOut) == 0 {
		m.WriteString("Nothing.\n")
	}
}

func (m *marks) unknown(s *story.Story) {
	m.head(2, "What is not known")
	for _, g := range s.Unknown {
		m.item("%s: %s. Next time: %s.", text(words.List(g.IDs)), text(g.Why), text(g.NextTime))
	}
	if len(s.Unknown) == 0 {
		m.WriteString("Every question could be answered.\n")
	}
}

func (m *marks) actions(s *story.Story) {
	m.head(2, "Action items")
	for _, f := range s.Doc.Roots() {
		for _, r := range f.Remedy {
			m.item("[ ] %s (%s)", text(report.RemedyText(r)), text(f.ID))
		}
	}
	if len(s.Fix) == 0 {
		m.item("[ ] ")
	}
}

func (m *marks) appendix(s *story.Story) {
	m.head(2, "Appendix: Wireshark filters")
	seen := map[string]bool{}
	filter := func(name, f string) {
		if f != "" && !seen[f] {
			seen[f] = true
			m.item("%s: %s", text(name), code(f))
		}
	}
	for _, e := range s.Explain {
		filter(e.Picture.Title, e.Filter)
	}
	for i := range s.Findings {
		for _, item := range s.Findings[i].Items {
			filter(s.Findings[i].ID, item.Filter)
		}
		for _, f := range s.Findings[i].Flows {
			filter(f.Name, f.Filter)
		}
	}
	if len(seen) == 0 {
		m.WriteString("None: no finding points at packets.\n")
	}
	if b := s.Doc.Bundle; b != nil {
		fmt.Fprintf(m, "\nBundle %s, recorded by %s %s.\n", text(b.Name), text(b.Recorder.Program), text(b.Recorder.Version))
	}
}
