package check

import (
	"fmt"
	"slices"
	"strings"

	"github.com/spikebox/spikebox/analyzer/evidence"
	"github.com/spikebox/spikebox/analyzer/internal/words"
	"github.com/spikebox/spikebox/analyzer/timeline"
	"github.com/spikebox/spikebox/format"
	"github.com/spikebox/spikebox/format/member"
)

// val points to a number, for the fields of Item that may be absent.
func val(v float64) *float64 { return &v }

// partOf says of what a piece of evidence is a part.
func (i Item) partOf(all float64) Item {
	i.Of = &all
	return i
}

// say adds words to a piece of evidence.
func (i *Item) say(text string, args ...any) {
	if i.Text != "" {
		i.Text += ", "
	}
	i.Text += fmt.Sprintf(text, args...)
}

// counterItem is the evidence of a counter that moved.
func (c *Case) counterItem(series string) Item {
	s := c.Lines.Get(series)
	sum, _ := s.Sum(c.Window)
	item := Item{Kind: "counter", Where: series, Value: &sum}
	if s == nil {
		return item
	}
	in := c.Window
	if span, ok := s.Where(c.Window, positive); ok {
		in = span
	}
	item.Member = lastReading(s, in)
	return item
}

// lastReading names the member that holds the last reading of a series within a span: a number that is read from a kernel text
// is in a snapshot of its own each time.
func lastReading(s *timeline.Series, in timeline.Span) string {
	if !strings.HasPrefix(s.Source, "proc/") && !strings.HasPrefix(s.Source, "sys/") {
		return s.Source
	}
	at := in.End
	if i, _ := slices.BinarySearch(s.T, in.End+1); i > 0 {
		at = s.T[i-1]
	}
	return member.SnapshotName(evidence.Unix(at), s.Source)
}

// settingItem is the evidence of a sysctl; ok is false where the bundle does not have it.
func (c *Case) settingItem(path string) (Item, bool) {
	text, ok := c.Evidence.Settings[path]
	if !ok {
		return Item{}, false
	}
	item := Item{Kind: "setting", Member: member.SysctlMember(path), Where: member.SysctlName(path), Text: text}
	if v, ok := c.Evidence.Settings.Int(path, 0); ok && !strings.ContainsAny(text, " \t") {
		item.Value, item.Text = val(float64(v)), ""
	}
	return item, true
}

// largestItem is the evidence of a vital at its largest within a span; ok is false where it
// has no value there.
func (c *Case) largestItem(vital, unit string, in timeline.Span) (Item, bool) {
	v, at, ok := c.Lines.Get(vital).Max(in)
	return Item{Kind: "series", Member: member.VitalsName, Where: vital, Value: val(v), Unit: unit,
		Text: "largest at " + words.Clock(evidence.Unix(at))}, ok
}

// manifestItem is the evidence of what the manifest says.
func manifestItem(where, text string) Item {
	return Item{Kind: "setting", Member: format.ManifestName, Where: where, Text: text}
}
