package check

import (
	"cmp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spikebox/spikebox/analyzer/evidence"
	"github.com/spikebox/spikebox/analyzer/internal/words"
	"github.com/spikebox/spikebox/analyzer/timeline"
	"github.com/spikebox/spikebox/format"
	"github.com/spikebox/spikebox/format/member"
)

// notCaptured is said by every check of the host's own numbers when there is no bundle.
const notCaptured = "what the host's kernel counted is not in a bare capture"

// needText makes the need for a kernel text that snapshots hold. A kernel that lacks it, as one
// without CONFIG_PSI lacks /proc/pressure, has lost nothing.
func needText(text, lacks string) *Need {
	return &Need{
		Name: "/" + text + " of each second", source: "snapshots", get: "/" + text + " of each second",
		have: func(c *Case) have {
			switch {
			case c.Evidence.Manifest == nil:
				return impossible(notCaptured)
			case len(c.Evidence.Columns.Times(text)) == 0 && len(c.Evidence.Columns.Times("proc/net/netstat")) > 1 && !c.damaged():
				h := impossible("there is no /" + text + " in the bundle: " + lacks)
				h.next = "record on a kernel that has it"
				return h
			}
			return c.readings("the readings of /"+text+" are", text, "snapshots")
		},
	}
}

// needProbe makes the need for a member that a kernel probe writes. It has lines only for
// seconds in which something happened, so that the source's word counts and not the lines.
func needProbe(name, source, get string) *Need {
	return &Need{
		Name: name, source: source, get: get,
		have: func(c *Case) have {
			s, ok := c.Evidence.Source(source)
			switch {
			case c.Evidence.Manifest == nil:
				return impossible(notCaptured)
			case ok && s.State == format.Complete && !c.damaged():
				return have{state: whole}
			case ok && s.State == format.Partial && !c.damaged():
				return partial("the source %q is partial%s", source, inBrackets(s.Reason))
			case !ok && !c.damaged():
				return impossible("the recorder of this bundle did not have the source " + strconv.Quote(source))
			}
			return c.gone(name+" are", source)
		},
	}
}

// burst is how a counter moved: the longest run of seconds in which it did, and how often.
type burst struct {
	span timeline.Span
	onset
	n    float64 // within the span
	all  float64 // within the window
	runs []timeline.Span
}

// apart is how long a counter may stand still within one burst: what comes once in a second
// or two, as retries do, is one story.
const apart = int64(2e9)

// burst looks for the longest run in which a counter moved. ok is false where it stood still.
func (c *Case) burst(s *timeline.Series) (b burst, ok bool) {
	runs := s.Runs(c.Window, apart, positive)
	if b.span, ok = timeline.Longest(runs); !ok {
		return b, false
	}
	b.onset, b.runs = onsetOf(s, runs, b.span), runs
	b.n, _ = s.Sum(b.span)
	b.all, _ = s.Sum(c.Window)
	return b, true
}

// lasted is the burst's length.
func (b burst) lasted() time.Duration { return time.Duration(b.span.End - b.span.Start) }

// rate is how often it moved a second on average.
func (b burst) rate() float64 { return b.n / max(b.lasted().Seconds(), 1e-3) }

// perCPU is one CPU's number and series.
type perCPU struct {
	cpu    int
	series *timeline.Series
	sum    float64
}

// perCPU gives the series of a pattern with a CPU's number in it, softnet.cpu*.dropped, that
// with the largest sum first.
func (c *Case) perCPU(pattern string) []perCPU {
	before, after, _ := strings.Cut(pattern, "cpu*")
	all, _ := c.Lines.Match(pattern) // the pattern is well formed
	var cpus []perCPU
	for _, s := range all {
		text := strings.TrimSuffix(strings.TrimPrefix(s.Name, before+"cpu"), after)
		n, err := strconv.Atoi(text)
		if err != nil {
			continue
		}
		sum, _ := s.Sum(c.Window)
		cpus = append(cpus, perCPU{n, s, sum})
	}
	slices.SortStableFunc(cpus, func(a, b perCPU) int { return cmp.Or(cmp.Compare(b.sum, a.sum), cmp.Compare(a.cpu, b.cpu)) })
	return cpus
}

// total adds up what a pattern of series counts.
func (c *Case) total(pattern string) *timeline.Series {
	all, _ := c.Lines.Match(pattern)
	return timeline.Total(pattern, all)
}

// seriesItem is the evidence of a counter in a span: where it is one of snapshots, the reading
// at its end.
func (c *Case) seriesItem(s *timeline.Series, in timeline.Span) Item {
	sum, _ := s.Sum(in)
	return Item{Kind: "counter", Member: lastReading(s, in), Where: s.Name, Value: val(sum)}
}

// vitalItem is the evidence of a vital's largest value, in its unit, and when it had that.
func vitalItem(name, unit string, most float64, at int64) Item {
	return Item{Kind: "series", Member: member.VitalsName, Where: name, Value: val(most), Unit: unit, Text: "largest at " + clock(at)}
}

// levelItem is the evidence of a level at its highest in a span; ok is false without a value.
func (c *Case) levelItem(name string, in timeline.Span) (Item, bool) {
	s := c.Lines.Get(name)
	v, at, ok := s.Max(in)
	if !ok {
		return Item{}, false
	}
	return Item{Kind: "series", Member: lastReading(s, timeline.Span{Start: at, End: at}), Where: name, Value: val(v), Unit: s.Unit,
		Text: "largest at " + words.Clock(evidence.Unix(at))}, true
}

// setting is a sysctl as a remedy names it, with its first number.
func (c *Case) setting(name string) (v int64, text string) {
	name = strings.ReplaceAll(name, ".", "/")
	v, _ = c.Evidence.Settings.Int(name, 0)
	return v, c.Evidence.Settings[name]
}

// message is a line of the kernel log of a kind that the analyzer knows.
type message struct {
	evidence.KernelMessage
	line member.LogLine
}

// logged gives the kernel log's lines of a kind within the window.
func (c *Case) logged(kind string) (found []message) {
	if c.messages == nil { // once for all checks: there are dozens of patterns
		c.messages = []message{}
		for _, l := range c.Evidence.Log {
			if m, ok := evidence.ParseKernelMessage(l.Text); ok && l.Time >= c.Window.Start && l.Time <= c.Window.End {
				c.messages = append(c.messages, message{m, l})
			}
		}
	}
	for _, m := range c.messages {
		if m.Kind == kind {
			found = append(found, m)
		}
	}
	return found
}

// messageSpan is from the first to the last of some lines, empty without any.
func messageSpan(all []message) (span timeline.Span) {
	for _, m := range all {
		span = span.Join(timeline.Span{Start: m.line.Time, End: m.line.Time})
	}
	return span
}

// clock gives the time of day of Unix ns.
func clock(at int64) string { return words.Clock(evidence.Unix(at)) }

// logItem quotes a line of the kernel log.
func logItem(l member.LogLine) Item {
	return Item{Kind: "log", Member: member.KmsgName, Where: "line " + strconv.Itoa(l.Line),
		Text: words.Clock(evidence.Unix(l.Time)) + ": " + words.Clip(l.Text)}
}

// pow2 is the smallest power of two that is not below v.
func pow2(v float64) int64 {
	n := int64(1)
	for float64(n) < v && n < 1<<40 {
		n *= 2
	}
	return n
}

// contains says whether a name holds one of some words.
func contains(name string, holds []string) bool {
	return slices.ContainsFunc(holds, func(w string) bool { return strings.Contains(name, w) })
}

// hasPrefixes says whether a name begins with one of some words.
func hasPrefixes(name string, prefixes ...string) bool {
	return slices.ContainsFunc(prefixes, func(p string) bool { return strings.HasPrefix(name, p) })
}
