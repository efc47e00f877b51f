package report

import (
	"fmt"
	"strings"
	"time"

	"github.com/spikebox/spikebox/analyzer/check"
	"github.com/spikebox/spikebox/analyzer/internal/words"
)

// itemText writes a piece of evidence: what it says, and where it stands.
func itemText(i check.Item) string {
	said := i.Where
	switch {
	case i.Kind == "counter" && i.Value != nil:
		said = fmt.Sprintf("%s +%s", i.Where, words.Number(*i.Value))
	case i.Kind == "socket" && i.Value != nil && i.Limit != nil:
		said = fmt.Sprintf("%s: %s waiting, room for %s (%s)", i.Text, words.Number(*i.Value), words.Number(*i.Limit), i.Where)
	case i.Kind == "setting" && i.Value != nil:
		said = fmt.Sprintf("%s = %s", i.Where, quantity(*i.Value, i.Unit))
	case i.Kind == "setting":
		said = fmt.Sprintf("%s = %s", i.Where, i.Text)
	case i.Kind == "packets":
		said = packetsText(i)
	case i.Value != nil:
		said = fmt.Sprintf("%s %s", i.Where, quantity(*i.Value, i.Unit))
		if i.Limit != nil {
			said += fmt.Sprintf(" (limit %s)", quantity(*i.Limit, i.Unit))
		}
		if i.Text != "" {
			said += ", " + i.Text
		}
	case i.Text != "":
		said = strings.TrimSpace(i.Where + " " + i.Text)
	}
	if i.Member == "" {
		return said
	}
	return said + "  " + i.Member
}

// packetsText names the frames; of many only the first, as JSON has them all.
func packetsText(i check.Item) string {
	const most = 12
	where := i.Where
	if frames, ok := strings.CutPrefix(where, "frames "); ok {
		list := strings.Fields(frames)
		if len(list) > most {
			list = append(list[:most], "…")
		}
		where = "frames " + strings.Join(list, " ")
	}
	if i.Value == nil {
		return where
	}
	value := quantity(*i.Value, i.Unit)
	if i.Text != "" {
		value += ", " + i.Text
	}
	return fmt.Sprintf("%s: %s", where, value)
}

// quantity writes a number with its unit.
func quantity(v float64, unit string) string {
	switch unit {
	case "s":
		return words.Duration(time.Duration(v * 1e9))
	case "ratio":
		return words.Percent(v)
	case "", "1":
		return words.Number(v)
	}
	if v == 1 && strings.HasSuffix(unit, "s") {
		unit = strings.TrimSuffix(unit, "s")
	}
	return words.Number(v) + " " + unit
}

// remedyText writes what to do, with the setting's value now and then.
func remedyText(r check.Remedy) string {
	if r.Setting == "" {
		return r.What
	}
	current := r.Current
	if current == "" {
		current = "unknown"
	}
	return fmt.Sprintf("%s %s: %s → %s", r.What, r.Setting, current, r.Proposed)
}
