package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"time"

	"github.com/spf13/pflag"

	"github.com/spikebox/spikebox/analyzer/evidence"
	"github.com/spikebox/spikebox/analyzer/timeline"
	"github.com/spikebox/spikebox/cmd/internal/cli"
	"github.com/spikebox/spikebox/format"
	rule "github.com/spikebox/spikebox/recorder/trigger"
)

var replay = &cli.Command{
	Name: "replay",
	Args: "BUNDLE --trigger EXPR",
	Doc:  "say whether a trigger would have fired on this incident, and when",
	Long: `Steps the trigger with every tick of the bundle's vitals, as the recorder would have
done, cooldown and daily cap aside. A factor (5x) compares with the vital's own
baseline and needs a minute of it, which is more than most bundles hold before the
trigger.`,
	Examples: []string{
		"spikebox replay web1.spike.tar.zst --trigger 'rtt.p99 > 100ms for 2s'",
		"spikebox replay web1.spike.tar.zst --trigger 'syn_recv > 100' --trigger 'syn_recv > 50 for 5s'",
	},
	Setup: func(flags *pflag.FlagSet) func(context.Context, []string) error {
		exprs := flags.StringArray("trigger", nil, "vital and limit to try; repeatable")
		asJSON := flags.Bool("json", false, "JSON Lines, an object for each trigger")
		return func(_ context.Context, args []string) error {
			switch {
			case len(args) != 1:
				return cli.Usagef("replay takes one bundle, not %d", len(args))
			case len(*exprs) == 0:
				return cli.Usagef("replay which trigger? --trigger is missing")
			}
			return runReplay(args[0], *exprs, *asJSON)
		}
	},
}

// trial is one trigger's run over the bundle, and a line of `replay --json`.
type trial struct {
	Trigger string   `json:"trigger"`
	Firings []firing `json:"firings"`
	Most    *float64 `json:"most"`  // the vital's largest value, or smallest for "<"; null without any
	Unit    string   `json:"unit"`  // of values and limits
	Ticks   int      `json:"ticks"` // at which the vital was measured
}

// firing is one moment at which the trigger would have cut the rings.
type firing struct {
	Time  time.Time `json:"time"`
	Since time.Time `json:"since"` // when the value crossed the limit
	Value float64   `json:"value"`
	Limit float64   `json:"limit"`
}

// runReplay takes units from the manifest, so that a bundle of an older recorder with
// other vitals is read by its own names.
func runReplay(path string, exprs []string, asJSON bool) error {
	e, err := readTexts(path)
	if err != nil {
		return err
	}
	units := map[string]string{}
	for _, v := range e.Manifest.Vitals {
		units[v.Name] = v.Unit
	}
	lookup := func(vital string) (string, bool) {
		unit, ok := units[vital]
		return unit, ok
	}
	set := timeline.Build(&e.Columns)
	lines := json.NewEncoder(os.Stdout)
	lines.SetEscapeHTML(false) // triggers are full of >
	for _, expr := range exprs {
		t, err := rule.Parse(expr, lookup)
		if err != nil {
			return &cli.Coded{Code: cli.Usage, Err: err, Hint: "spikebox timeline BUNDLE names the vitals"}
		}
		run := try(t, set.Get(t.Vital))
		if asJSON {
			err = lines.Encode(run)
		} else {
			err = run.print(e.Manifest)
		}
		if err != nil {
			return err
		}
	}
	return damaged(e.Damage)
}

// try steps a trigger with the vital's values.
func try(t *rule.Trigger, s *timeline.Series) trial {
	run := trial{Trigger: t.Expr, Unit: t.Unit, Firings: []firing{}}
	if s == nil {
		return run
	}
	eval := rule.NewEval(t)
	for i, v := range s.V {
		if f, ok := eval.Step(evidence.Unix(s.T[i]), v); ok {
			run.Firings = append(run.Firings, firing{f.Time, f.Since, f.Value, f.Limit})
		}
		if v != v { // not measured at this tick
			continue
		}
		run.Ticks++
		if run.Most == nil || t.Above == (v > *run.Most) {
			run.Most = &v
		}
	}
	return run
}

// print writes one trigger's run for people.
func (r *trial) print(m *format.Manifest) error {
	verdict := "would not have fired"
	if len(r.Firings) > 0 {
		verdict = "would have fired"
	}
	_, err := fmt.Printf("%s: %s\n", r.Trigger, verdict)
	for _, f := range r.Firings {
		fmt.Printf("  at %s, %+.2f s from the bundle's own trigger: %s (limit %s), crossed at %s\n",
			f.Time.Format("15:04:05.000"), f.Time.Sub(m.Trigger.Time).Seconds(), r.amount(f.Value), r.amount(f.Limit), f.Since.Format("15:04:05.000"))
	}
	switch {
	case r.Most == nil:
		fmt.Println("  the vital was not measured in the window")
	case len(r.Firings) == 0:
		fmt.Printf("  furthest it went: %s, in %d ticks\n", r.amount(*r.Most), r.Ticks)
	}
	return err
}

// amount writes a value in the notation of a trigger's limit.
func (r *trial) amount(v float64) string {
	switch r.Unit {
	case "s":
		return time.Duration(v * 1e9).Round(time.Microsecond).String()
	case "ratio":
		return fmt.Sprintf("%.3g%%", v*100)
	case "1/s":
		return fmt.Sprintf("%.3g/s", v)
	}
	return fmt.Sprintf("%.6g", v)
}
