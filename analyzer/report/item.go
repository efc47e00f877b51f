package report

import (
	"fmt"
	"strings"

	"github.com/spikebox/spikebox/analyzer/check"
	"github.com/spikebox/spikebox/format/member"
	"github.com/spikebox/spikebox/format/unit"
)

// ItemText writes a piece of evidence: where it stands, and what it says.
func ItemText(i check.Item) string {
	switch i.Kind {
	case "counter":
		return fmt.Sprintf("%s %s+%s", i.Where, atLeast(i), unit.Number(*i.Value)) + of(i)
	case "setting":
		if i.Value == nil {
			return fmt.Sprintf("%s = %s", i.Where, i.Text)
		}
		return fmt.Sprintf("%s = %s", i.Where, unit.Prose(*i.Value, i.Unit))
	case "socket":
		if i.Value != nil && i.Limit != nil { // a listener's queue
			return fmt.Sprintf("%s %s: %s, %s waiting, room for %s", i.Member, i.Where, i.Text, unit.Number(*i.Value), unit.Number(*i.Limit))
		}
	}
	said := strings.TrimSpace(i.Member + " " + firstFrames(i.Where))
	if i.Kind == "series" && strings.HasPrefix(i.Member, member.SnapshotFolder) {
		said = i.Where // the name says the text, and the time of first the snapshot
	}
	if i.Value != nil {
		said += ": " + atLeast(i)
		if i.Of != nil {
			said += unit.Number(*i.Value) + " of " + unit.Prose(*i.Of, i.Unit)
		} else {
			said += unit.Prose(*i.Value, i.Unit)
		}
		if i.Limit != nil {
			said += fmt.Sprintf(" (limit %s)", unit.Prose(*i.Limit, i.Unit))
		}
		if i.Usual != nil {
			said += ", usually " + unit.Prose(*i.Usual, i.Unit)
		}
	}
	if i.Text != "" {
		said += ", " + i.Text
	}
	return strings.TrimPrefix(said, ", ")
}

// of ends a count with all that it is a part of.
func of(i check.Item) string {
	if i.Of == nil {
		return ""
	}
	return " of " + unit.Prose(*i.Of, i.Unit)
}

// atLeast begins a count of which some may be missing.
func atLeast(i check.Item) string {
	if i.AtLeast {
		return "at least "
	}
	return ""
}

// firstFrames cuts a long list of frames short; JSON has them all.
func firstFrames(where string) string {
	const most = 12
	frames, ok := strings.CutPrefix(where, "frames ")
	list := strings.Fields(frames)
	if !ok || len(list) <= most {
		return where
	}
	return "frames " + strings.Join(list[:most], " ") + " …"
}

// RemedyText writes what to do, with the setting's value now and then.
func RemedyText(r check.Remedy) string {
	if r.Setting == "" {
		return r.What
	}
	current := r.Current
	if current == "" {
		current = "unknown"
	}
	return fmt.Sprintf("%s %s: %s → %s", r.What, r.Setting, current, r.Proposed)
}
