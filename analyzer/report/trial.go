package report

import (
	"fmt"
	"io"
	"time"

	"github.com/spikebox/spikebox/analyzer/internal/words"
	"github.com/spikebox/spikebox/format/plain"
	"github.com/spikebox/spikebox/format/unit"
)

// Trial is one trigger's run over a bundle, and a line of `spikebox replay --json`.
type Trial struct {
	Trigger string   `json:"trigger"`
	Fired   *bool    `json:"fired"`         // null: cannot be told, for the reason in Why
	Why     string   `json:"why,omitempty"` // one sentence
	Firings []Firing `json:"firings"`
	Most    *float64 `json:"most"`  // largest value of the first condition's vital, or smallest for "<"; null without any
	Unit    string   `json:"unit"`  // of values and limits
	Ticks   int      `json:"ticks"` // at which that vital was measured
}

// Firing is one moment at which the trigger would have cut the rings.
type Firing struct {
	Time  time.Time `json:"time"`
	Since time.Time `json:"since"` // when the last condition crossed its limit
	Value float64   `json:"value"`
	Limit float64   `json:"limit"`
}

// Text writes the run for people; cut is when the bundle's own trigger fired.
func (r *Trial) Text(w io.Writer, cut time.Time) error {
	verdict := "cannot tell"
	if r.Fired != nil {
		verdict = "would not have fired"
		if *r.Fired {
			verdict = "would have fired"
		}
	}
	if r.Why != "" {
		verdict += ": " + plain.Line(r.Why)
	}
	_, err := fmt.Fprintf(w, "%s: %s\n", plain.Line(r.Trigger), verdict)
	for _, f := range r.Firings {
		_, err = fmt.Fprintf(w, "  at %s, %+.2f s from the bundle's own trigger: %s (limit %s), crossed at %s\n",
			words.Clock(f.Time), f.Time.Sub(cut).Seconds(), unit.Measured(f.Value, r.Unit), unit.Measured(f.Limit, r.Unit), words.Clock(f.Since))
	}
	if r.Most != nil && len(r.Firings) == 0 {
		_, err = fmt.Fprintf(w, "  furthest it went: %s, in %d ticks\n", unit.Measured(*r.Most, r.Unit), r.Ticks)
	}
	return err
}
