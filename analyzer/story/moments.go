package story

import (
	"fmt"
	"slices"

	"github.com/spikebox/spikebox/analyzer/check"
	"github.com/spikebox/spikebox/format/unit"
)

// moments is the timeline: when the window begins and ends, the trigger, and when each finding begins.
func (t *teller) moments() (all []Moment) {
	d := t.Doc
	add := func(m Moment) { all = append(all, m) }
	if !d.Window.Known() {
		return nil
	}
	add(Moment{d.Window.Start, "the window begins"})
	if b := d.Bundle; b != nil {
		if !b.Trigger.Since.IsZero() {
			add(Moment{b.Trigger.Since.UTC(), fmt.Sprintf("%s goes beyond its limit", b.Trigger.Vital)})
		}
		what := "the trigger: " + b.Trigger.Expr
		if b.Trigger.Expr == "" {
			what = "the trigger: " + b.Trigger.Kind
		}
		if b.Trigger.Reason != "" {
			what += " (" + b.Trigger.Reason + ")"
		}
		add(Moment{b.Trigger.Time.UTC(), what})
	}
	for _, f := range d.Findings {
		if f.Remark() || f.Severity == check.Info || len(all) > 60 {
			continue
		}
		what := fmt.Sprintf("%s (%s)", f.ID, f.Object)
		if lasts := f.End.Sub(f.Start); lasts > 0 {
			what += ", for " + unit.Duration(lasts)
		}
		add(Moment{f.Start, what})
	}
	add(Moment{d.Window.End, "the window ends"})
	slices.SortStableFunc(all, func(a, b Moment) int { return a.At.Compare(b.At) })
	return all
}
