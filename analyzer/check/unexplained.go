package check

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spikebox/spikebox/analyzer/evidence"
	"github.com/spikebox/spikebox/analyzer/internal/words"
	"github.com/spikebox/spikebox/analyzer/moved"
	"github.com/spikebox/spikebox/analyzer/timeline"
	"github.com/spikebox/spikebox/format"
	"github.com/spikebox/spikebox/format/member"
	"github.com/spikebox/spikebox/format/unit"
)

// UnexplainedID is the check that asks of the others' answers.
const UnexplainedID = "unexplained"

var unexplained = Check{
	ID:    UnexplainedID,
	Title: "Something happened that no check explains",
	Doc:   "a trigger fired, or somebody asked and said why, and no other check says what it was",
	Page: `Every check knows one kind of incident, and the next incident may be of another. When a
vital crossed its limit, a line of the kernel log matched a pattern, or an operator cut a
bundle and gave a reason, something was wrong; that no check found it is no proof of
health. This finding says so, with the vital's own line, what the kernel logged nearby,
and what moved most.

What moved is found without any rule. Each series is compared with itself: the part of
the window before the trigger gives its usual (the median) and its noise, and the score
says how many fold it changed beyond that noise. Half a window is usual where a human
asked, since nobody knows how old the trouble was. From 3 on a change stands out; which
of them is the cause and which an effect, the order of their first times may tell.

A finding explains a trigger if its check says that it can move that vital, if it is a
warning or worse, and if both happened at the same time. What looks like an incident to a
vital and is none (a scan, a deferred accept) explains it as well.`,
	Ref:    "format/SPEC.md, \"Manifest\" (trigger); Huber, Robust Statistics, on the median and its deviation",
	Limits: []Limit{stands},
	last:   true,
	run:    runUnexplained,
}

var stands = Limit{"score", moved.Much, "fold",
	"chance lifts the worst of 20,000 independent counters to 2.3; a few connections that begin in the same second of an idle host reach 4"}

// mostTriggers bounds what is said of a bundle in which many triggers joined.
const mostTriggers = 8

// runUnexplained asks of each trigger whether a finding accounts for it.
func runUnexplained(c *Case) Answer {
	if c.Evidence.Manifest == nil {
		return absent("a bare capture has no trigger that would have to be explained")
	}
	var findings []*Finding
	var because []string
	// Each by itself: that one trigger is understood says nothing of another that joined it.
	for _, t := range c.triggers() {
		if by := c.explains(t); by != "" {
			because = append(because, asked(t)+" is explained by "+by)
			continue
		}
		findings = append(findings, c.unexplainedBy(t))
	}
	switch {
	case len(findings) > 0:
		return present(findings...)
	case len(because) > 0:
		return absent("%s", words.List(because))
	}
	return absent("the bundle was cut by hand or for a drill, and nobody gave a reason")
}

// triggers are those that want an explanation, each vital and pattern once: not a drill, and
// not a human who gave no reason.
func (c *Case) triggers() []format.Trigger {
	m := c.Evidence.Manifest
	if m == nil { // a bare capture
		return nil
	}
	var all []format.Trigger
	for _, t := range append([]format.Trigger{m.Trigger}, m.Joined...) {
		if !moved.Automatic(t) && (t.Kind != "control" || t.Reason == "") || len(all) == mostTriggers {
			continue
		}
		same := func(o format.Trigger) bool {
			return o.Kind == t.Kind && o.Vital == t.Vital && (t.Vital != "" || o.Expr == t.Expr)
		}
		if !slices.ContainsFunc(all, same) {
			all = append(all, t)
		}
	}
	return all
}

// explains names the check whose finding accounts for a trigger, empty where none does. What
// is only worth knowing accounts for nothing, unless it is a look-alike, and a remark about the evidence even less.
// Whoever asked by hand named no vital: then any trouble is an answer. A pattern of the
// kernel log is the operator's own, and no check can know what it stands for.
func (c *Case) explains(t format.Trigger) string {
	span := triggerSpan(t)
	var best *Finding
	var by *Check // whose best is
	for _, r := range c.answers {
		if r.Check.Remark || t.Kind == "kmsg" || t.Vital != "" && !r.Check.explains(t.Vital) {
			continue
		}
		for _, f := range r.Findings {
			if (f.Severity.Rank() >= Warning.Rank() || (r.Check.LookAlike || f.harmless) && t.Vital != "") && (t.Vital == "" || f.near(span)) &&
				(best == nil || accountsBetter(f, r.Check, best, by)) {
				best, by = f, r.Check
			}
		}
	}
	if best == nil {
		return ""
	}
	return best.ID
}

// explains says whether a check knows what moves a vital. Whoever knows it of a number knows it of the number's share, too.
func (c *Check) explains(vital string) bool {
	return slices.Contains(c.Explains, vital) || slices.Contains(c.Explains, strings.TrimSuffix(vital, ".ratio"))
}

// near says whether a finding tells of something at a time: within its span, in the time before it in which that was near already,
// or when its counter moved besides. A backlog that overflows, is calm for seconds and overflows again is one thing.
func (f *Finding) near(at timeline.Span) bool {
	span := f.span()
	if f.since > 0 {
		span.Start = min(span.Start, f.since)
	}
	then := func(s timeline.Span) bool { return s.Overlaps(at, counterSlack.Nanoseconds()) }
	return then(span) || slices.ContainsFunc(f.again, then)
}

// accountsBetter says which of two findings is named: the worse, of equals the one that may cause the other, or the
// earlier, as an effect comes later.
func accountsBetter(a *Finding, of *Check, b *Finding, than *Check) bool {
	return cmp.Or(b.Severity.Rank()-a.Severity.Rank(), leads(than, of)-leads(of, than), a.Start.Compare(b.Start), strings.Compare(a.ID, b.ID)) < 0
}

// leads is 1 where one check's findings may cause the other's.
func leads(cause, effect *Check) int {
	if slices.ContainsFunc(effect.Causes, func(l Link) bool { return l.Cause == cause }) {
		return 1
	}
	return 0
}

// triggerSpan is from when the vital went beyond its limit until the trigger fired.
func triggerSpan(t format.Trigger) timeline.Span {
	s := timeline.Span{Start: t.Time.UnixNano(), End: t.Time.UnixNano()}
	if !t.Since.IsZero() {
		s.Start = min(s.Start, t.Since.UnixNano())
	}
	return s
}

// unexplainedBy is the finding: what fired, what moved, and what the kernel said.
func (c *Case) unexplainedBy(t format.Trigger) *Finding {
	f := &Finding{Severity: Warning, Object: asked(t), effect: asked(t) + " is not explained"}
	f.at(triggerSpan(t))
	at := "at " + words.Clock(t.Time)
	switch {
	case t.Vital != "":
		f.Object, f.Title = t.Vital, t.Vital+" crossed its limit, and no check explains it"
		f.Headline = fmt.Sprintf("%s was %s %s, beyond its limit of %s", t.Vital, unit.Prose(t.Value, t.Unit), at, unit.Prose(t.Limit, t.Unit))
		if held := t.Time.Sub(t.Since); !t.Since.IsZero() && held >= time.Millisecond {
			f.Headline += " for " + unit.Duration(held)
		}
	case t.Kind == "kmsg":
		f.Object, f.Title = "kernel log", "The kernel log matched, and no check explains it"
		f.Headline = fmt.Sprintf("The kernel logged %s %s", words.Quote(t.Reason), at)
	default:
		f.Object, f.Title = "operator", "Somebody asked, and no check has an answer"
		f.Headline = fmt.Sprintf("Somebody asked %s, because of %s", at, words.Quote(t.Reason))
	}
	f.Headline += "; none of the checks explains it; " + moved.Summary(besides(c.Moved, t.Vital)) + "."
	f.Evidence = append(c.vitalItem(t), c.logItems(t)...)
	for _, l := range c.Moved {
		f.Evidence = append(f.Evidence, movedItem(l))
	}
	if len(f.Evidence) == 0 {
		f.Evidence = []Item{manifestItem("trigger", t.Kind+" "+words.Clip(t.Reason))}
	}
	f.Remedy = []Remedy{{What: "Read the series that moved from the first on (spikebox timeline --series), " +
		"and the connections of those seconds (spikebox flows)."}}
	return f
}

// besides leaves out the vital itself, whose value has been said.
func besides(lines []moved.Line, vital string) []moved.Line {
	return slices.DeleteFunc(slices.Clone(lines), func(l moved.Line) bool {
		return l.Series == vital || slices.Contains(l.With, vital)
	})
}

// asked names a trigger shortly.
func asked(t format.Trigger) string {
	switch {
	case t.Vital != "":
		return t.Expr
	case t.Kind == "kmsg":
		return "the kernel log's " + words.Quote(t.Expr)
	}
	return "what the operator asked for"
}

// vitalItem is the vital's line in vitals.csv. A tick is at most a quarter of a second away; lines can
// be counted only where all of them were read.
func (c *Case) vitalItem(t format.Trigger) []Item {
	s := c.Lines.Get(t.Vital)
	if t.Vital == "" {
		return nil
	}
	item := Item{Kind: "series", Member: format.ManifestName, Where: "trigger " + t.Vital, Value: val(t.Value), Limit: val(t.Limit), Unit: t.Unit}
	if s == nil {
		return []Item{item}
	}
	row, _ := slices.BinarySearch(s.T, t.Time.UnixNano()-tick/2)
	broken := slices.ContainsFunc(c.Evidence.Partial.List, func(p evidence.Partial) bool { return p.Member == member.VitalsName })
	if row < len(s.T) && s.T[row] <= t.Time.UnixNano()+tick/2 && !broken {
		item.Member, item.Where = member.VitalsName, fmt.Sprintf("line %d %s", row+2, t.Vital) // the header is line 1
	}
	return []Item{item}
}

const tick = int64(250 * time.Millisecond)

// logItems quotes the kernel log of the window: the lines nearest to the trigger, in their order.
func (c *Case) logItems(t format.Trigger) []Item {
	const most = 6 // lines: enough for a driver's complaint, and not a whole boot
	at := t.Time.UnixNano()
	var lines []member.LogLine
	for _, l := range c.Evidence.Log {
		if l.Time >= c.Window.Start && l.Time <= c.Window.End {
			lines = append(lines, l)
		}
	}
	slices.SortStableFunc(lines, func(a, b member.LogLine) int { return int(min(max(abs(a.Time-at)-abs(b.Time-at), -1), 1)) })
	lines = lines[:min(len(lines), most)]
	slices.SortFunc(lines, func(a, b member.LogLine) int { return a.Line - b.Line })
	var items []Item
	for _, l := range lines {
		items = append(items, Item{Kind: "log", Member: member.KmsgName, Where: "line " + strconv.Itoa(l.Line),
			Text: words.Clock(evidence.Unix(l.Time)) + ": " + words.Clip(l.Text)})
	}
	return items
}

func abs(v int64) int64 { return max(v, -v) }

// movedItem is one line of what moved as evidence.
func movedItem(l moved.Line) Item {
	return Item{Kind: "series", Member: l.Member, Where: l.Series, Value: val(l.Value), Unit: l.Unit, Text: l.Beside()}
}
