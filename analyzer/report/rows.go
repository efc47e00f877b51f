package report

import (
	"slices"
	"strings"

	"github.com/spikebox/spikebox/analyzer/check"
	"github.com/spikebox/spikebox/analyzer/evidence"
	"github.com/spikebox/spikebox/analyzer/internal/words"
	"github.com/spikebox/spikebox/analyzer/moved"
	"github.com/spikebox/spikebox/analyzer/timeline"
)

// Section is series that belong together, under a heading.
type Section struct {
	Title  string
	Series []*timeline.Series
}

// mostShown bounds what a section shows of one finding: what says most comes first.
const mostShown = 12

// Matters gives the series that a reader wants to see, each once: those of each finding, in the order of causes, then
// those that moved most. What is said about the evidence itself comes last.
func Matters(findings []*check.Finding, changed []moved.Line, lines *timeline.Set) (all []Section) {
	seen := map[*timeline.Series]bool{}
	take := func(title string, series []*timeline.Series) {
		series = slices.DeleteFunc(series, func(s *timeline.Series) bool { return seen[s] })
		series = series[:min(len(series), mostShown)]
		for _, s := range series {
			seen[s] = true
		}
		if len(series) > 0 {
			all = append(all, Section{title, series})
		}
	}
	for _, f := range findings {
		take(f.ID+"  "+f.Object, f.Shown(lines))
	}
	var series []*timeline.Series
	for _, l := range changed {
		found, _ := lines.Match(l.Series) // those of CPUs are one line: cpu*
		series = append(series, found...)
	}
	take("What moved most", series)
	return all
}

// Rest gives the series that are in none of the sections, by the first word of their names.
func Rest(sections []Section, lines []*timeline.Series) (all []Section) {
	seen := map[*timeline.Series]bool{}
	for _, s := range sections {
		for _, series := range s.Series {
			seen[series] = true
		}
	}
	for _, s := range lines {
		if seen[s] {
			continue
		}
		group, _, _ := strings.Cut(s.Name, ".")
		if n := len(all); n == 0 || all[n-1].Title != group {
			all = append(all, Section{Title: group})
		}
		last := &all[len(all)-1]
		last.Series = append(last.Series, s)
	}
	return all
}

// Strip is the few rows under a verdict.
type Strip struct {
	Series  []*timeline.Series
	Window  timeline.Span
	Trigger int64 // Unix ns, 0 without
}

// The rows of a strip: with the verdict above and the first finding below they fit on one screen. So many are of what caused
// the rest, and one is of each other finding.
const (
	stripRows = 5
	rootRows  = 3
)

// strip chooses the rows. Where nothing is wrong, nothing has to be looked at.
func strip(d *Document, c *check.Case) Strip {
	s := Strip{Window: c.Window, Trigger: triggerOf(d)}
	if len(d.Findings) == 0 {
		return s
	}
	for i, section := range Matters(d.Findings, d.Moved, c.Lines) {
		room := 1
		if i == 0 {
			room = rootRows
		}
		for _, series := range section.Series {
			if room > 0 && len(s.Series) < stripRows && len(series.Name) <= widestName {
				s.Series = append(s.Series, series)
				room--
			}
		}
	}
	return s
}

// triggerOf is when a bundle's trigger fired, in Unix ns; 0 without a bundle.
func triggerOf(d *Document) int64 {
	if d.Bundle == nil || d.Bundle.Trigger.Time.IsZero() {
		return 0
	}
	return d.Bundle.Trigger.Time.UnixNano()
}

// scaleOf names what a series shares a scale with: the quantiles of one time, the CPUs of one number, and what became of
// the SYNs of one way, or of segments sent again.
func scaleOf(s *timeline.Series) string {
	parts := strings.Split(s.Name, ".")
	for i, p := range parts {
		if n, cpu := strings.CutPrefix(p, "cpu"); cpu && n != "" && strings.Trim(n, "0123456789") == "" {
			parts[i] = "cpu*"
		}
	}
	switch last := parts[len(parts)-1]; last {
	case "p50", "p99", "p999", "max":
		parts = parts[:len(parts)-1]
	case "syn", "connected":
		parts[len(parts)-1] = "syn"
	}
	if parts[0] == "packets" {
		for i, p := range parts {
			if p == "syn" || p == "synack" || p == "retrans" {
				parts = append(parts[:i:i], strings.Replace(p, "synack", "syn", 1))
				break
			}
		}
	}
	return strings.Join(parts, ".") + " " + s.RateUnit()
}

// scales gives the smallest and largest value of each scale of some series.
func scales(series []*timeline.Series) map[string][2]float64 {
	all := map[string][2]float64{}
	for _, s := range series {
		least, most, ok := timeline.Extent(s.Rates())
		if !ok {
			continue
		}
		if was, there := all[scaleOf(s)]; there {
			least, most = min(least, was[0]), max(most, was[1])
		}
		all[scaleOf(s)] = [2]float64{least, most}
	}
	return all
}

// shares counts the scales that several of some series have.
func shares(series []*timeline.Series) (n int) {
	count := map[string]int{}
	for _, s := range series {
		if count[scaleOf(s)]++; count[scaleOf(s)] == 2 {
			n++
		}
	}
	return n
}

// clocks writes the begin and the end of a window.
func clocks(w timeline.Span) string {
	return words.Clock(evidence.Unix(w.Start)) + " to " + words.Clock(evidence.Unix(w.End)) + " UTC"
}
