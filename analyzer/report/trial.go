package report

import (
	"fmt"
	"io"
	"math"
	"time"

	"github.com/spikebox/spikebox/analyzer/evidence"
	"github.com/spikebox/spikebox/analyzer/internal/words"
	"github.com/spikebox/spikebox/analyzer/timeline"
	"github.com/spikebox/spikebox/format/plain"
	"github.com/spikebox/spikebox/format/unit"
)

// Trial is one trigger's run over a bundle, and a line of `spikebox replay --json`.
type Trial struct {
	Trigger string   `json:"trigger"`
	Firings []Firing `json:"firings"`
	Most    *float64 `json:"most"`  // the vital's largest value, or smallest for "<"; null without any
	Unit    string   `json:"unit"`  // of values and limits
	Ticks   int      `json:"ticks"` // at which the vital was measured
}

// Firing is one moment at which the trigger would have cut the rings.
type Firing struct {
	Time  time.Time `json:"time"`
	Since time.Time `json:"since"` // when the value crossed the limit
	Value float64   `json:"value"`
	Limit float64   `json:"limit"`
}

// Try gives each value of a vital to step, which says whether the trigger fires at it.
// Above is the side of the limit on which it fires; a series that the bundle lacks is nil.
func Try(trigger, unit string, above bool, s *timeline.Series, step func(now time.Time, v float64) (Firing, bool)) *Trial {
	run := &Trial{Trigger: trigger, Unit: unit, Firings: []Firing{}}
	if s == nil {
		return run
	}
	for i, v := range s.V {
		// A tick without a value is stepped too: it ends what a trigger has held so far.
		if f, ok := step(evidence.Unix(s.T[i]), v); ok {
			run.Firings = append(run.Firings, f)
		}
		if math.IsNaN(v) {
			continue
		}
		run.Ticks++
		if run.Most == nil || above == (v > *run.Most) {
			run.Most = &v
		}
	}
	return run
}

// Text writes the run for people; cut is when the bundle's own trigger fired.
func (r *Trial) Text(w io.Writer, cut time.Time) error {
	verdict := "would not have fired"
	if len(r.Firings) > 0 {
		verdict = "would have fired"
	}
	_, err := fmt.Fprintf(w, "%s: %s\n", plain.Line(r.Trigger), verdict)
	for _, f := range r.Firings {
		_, err = fmt.Fprintf(w, "  at %s, %+.2f s from the bundle's own trigger: %s (limit %s), crossed at %s\n",
			words.Clock(f.Time), f.Time.Sub(cut).Seconds(), unit.Measured(f.Value, r.Unit), unit.Measured(f.Limit, r.Unit), words.Clock(f.Since))
	}
	switch {
	case r.Most == nil:
		_, err = fmt.Fprintln(w, "  the vital was not measured in the window")
	case len(r.Firings) == 0:
		_, err = fmt.Fprintf(w, "  furthest it went: %s, in %d ticks\n", unit.Measured(*r.Most, r.Unit), r.Ticks)
	}
	return err
}
