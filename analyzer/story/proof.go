package story

import (
	"fmt"
	"math"
	"strings"
	"time"

	"github.com/spikebox/spikebox/analyzer/check"
	"github.com/spikebox/spikebox/analyzer/evidence"
	"github.com/spikebox/spikebox/analyzer/internal/words"
	"github.com/spikebox/spikebox/analyzer/plot"
	"github.com/spikebox/spikebox/analyzer/report"
	"github.com/spikebox/spikebox/format/unit"
)

// Finding is one of the report's, with its proof.
type Finding struct {
	*check.Finding
	Number     int // in the report, from 0
	Depth      int // how many causes stand above it
	When       string
	Because    []string // its causes, as sentences
	Items      []Item
	Remedies   []Remedy
	Series     *plot.Picture // those of its evidence; nil where none can be drawn
	Histograms [][]string    // how long softirqs ran, before and during: lines of text
	Flows      []Flow
}

// Item is a piece of evidence as it is set.
type Item struct {
	Text   string
	Lines  []string // of the member itself
	Filter string
}

// Remedy is something to do, with the setting that it changes.
type Remedy struct {
	What, Setting, Current, Proposed, Ref string
}

// Flow is an example connection with its packets.
type Flow struct {
	Name    string
	Filter  string
	Packets []Line
	More    int // packets that are not shown
}

// Line is a packet as it is set.
type Line struct {
	Frame uint64
	Time  string
	Since string // since the one before it
	Way   string
	Text  string
}

// findings puts each finding together with its proof.
func (t *teller) findings() []Finding {
	depth := report.Depths(t.Doc.Findings)
	all := make([]Finding, len(t.Doc.Findings))
	for i, f := range t.Doc.Findings {
		all[i] = Finding{Finding: f, Number: i, Depth: min(depth[f], 6), When: words.Span(f.Start, f.End)}
		g := &all[i]
		for _, c := range f.Causes {
			g.Because = append(g.Because, fmt.Sprintf("Caused by %s (%s): %s.", c.ID, c.Object, c.Because))
		}
		for _, r := range f.Remedy {
			g.Remedies = append(g.Remedies, Remedy{r.What, r.Setting, current(r), r.Proposed, r.Ref})
		}
		for j := range f.Evidence {
			g.Items = append(g.Items, t.item(&f.Evidence[j]))
		}
		if i >= mostProofs { // so many are a flood: what they say is kept, and findings.json has the rest
			continue
		}
		g.Series, g.Histograms = t.proof(f, i), t.histograms(f)
		for j := range f.Flows[:min(len(f.Flows), mostFlows)] {
			g.Flows = append(g.Flows, t.flow(&f.Flows[j]))
		}
	}
	return all
}

// current is a setting's value now, where it is known.
func current(r check.Remedy) string {
	if r.Setting != "" && r.Current == "" {
		return "unknown"
	}
	return r.Current
}

// item sets a piece of evidence, with the lines of the kernel's text where these are numbers: the first and the
// last reading of a counter.
func (t *teller) item(i *check.Item) Item {
	out := Item{Text: report.ItemText(*i), Filter: i.Filter}
	switch i.Kind {
	case "counter":
		out.Lines = t.readings(i)
	case "log":
		if i.Member == "kmsg.txt" && i.Text != "" {
			out.Lines = []string{i.Text}
			out.Text = strings.TrimSpace(i.Member + " " + i.Where)
		}
	}
	return out
}

// readings gives what the kernel said of a counter at the begin of the window, where it moved, and at its end.
func (t *teller) readings(i *check.Item) (lines []string) {
	c := t.Case.Evidence.Columns.Get(i.Where)
	if c == nil {
		return nil
	}
	say := func(at int) {
		if at < len(c.V) && !math.IsNaN(c.V[at]) {
			lines = append(lines, fmt.Sprintf("%s  %s  %s", words.Clock(evidence.Unix(c.Axis.T[at])), c.Name, unit.Number(c.V[at])))
		}
	}
	last := -1
	for at := range c.V {
		if math.IsNaN(c.V[at]) {
			continue
		}
		if last >= 0 && c.V[at] != c.V[last] && len(lines) < 2 {
			say(last)
			say(at)
		}
		last = at
	}
	if last >= 0 && len(lines) > 0 {
		say(last)
	}
	return lines
}

// proof draws the series of a finding's evidence that share the first one's unit.
func (t *teller) proof(f *check.Finding, number int) *plot.Picture {
	var r plot.Row
	for _, name := range seriesOf(f) {
		s := t.series(name)
		if s == nil || len(r.Lines) == 3 || len(r.Lines) > 0 && s.RateUnit() != r.Unit {
			continue
		}
		if _, most, _, ok := extremes(s.T, s.Rates()); !ok || most == 0 {
			continue
		}
		if len(r.Lines) == 0 {
			r = t.base(fmt.Sprintf("proof-%d", number+1), "Evidence of "+f.ID+" over the window", s.RateUnit())
			r.Bands = []plot.Band{{Finding: number, Span: span(f), Level: level(f.Severity)}}
		}
		r.Lines = append(r.Lines, lineOf(s, name))
	}
	if len(r.Lines) == 0 {
		return nil
	}
	r.Alt = rowAlt(&r)
	return r.Picture()
}

// flow sets the packets of an example connection.
func (t *teller) flow(x *check.Flow) Flow {
	e := endsOf(x)
	f := Flow{Name: fmt.Sprintf("%v – %v", e.client, e.server), Filter: t.filter(x)}
	w := t.wanted[e]
	if w == nil {
		return f
	}
	before := int64(0)
	for i := range w.lines {
		p := &w.lines[i]
		l := Line{Frame: p.Frame, Time: evidence.Unix(p.Time).Format("15:04:05.000000"), Way: p.Way, Text: p.Summary}
		if i > 0 {
			l.Since = "+" + unit.Duration(time.Duration(p.Time-before))
		}
		before = p.Time
		f.Packets = append(f.Packets, l)
	}
	f.More = w.more
	return f
}
