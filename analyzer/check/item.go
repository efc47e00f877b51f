package check

import (
	"strings"

	"github.com/spikebox/spikebox/analyzer/evidence"
	"github.com/spikebox/spikebox/analyzer/internal/words"
	"github.com/spikebox/spikebox/analyzer/timeline"
	"github.com/spikebox/spikebox/format"
	"github.com/spikebox/spikebox/format/member"
)

// val points to a number, for the fields of Item that may be absent.
func val(v float64) *float64 { return &v }

// counterItem is the evidence of a counter that moved.
func (c *Case) counterItem(series string) Item {
	s := c.Lines.Get(series)
	sum, _ := s.Sum(c.Window)
	item := Item{Kind: "counter", Where: series, Value: &sum}
	if s == nil {
		return item
	}
	item.Member = s.Source
	if span, ok := s.Where(c.Window, func(v float64) bool { return v > 0 }); ok {
		item.Member = member.SnapshotName(evidence.Unix(span.End), s.Source)
	}
	return item
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
