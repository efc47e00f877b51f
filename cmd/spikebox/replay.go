package main

import (
	"context"
	"encoding/json"
	"maps"
	"slices"
	"time"

	"github.com/spf13/pflag"

	"github.com/spikebox/spikebox/analyzer/report"
	"github.com/spikebox/spikebox/analyzer/timeline"
	"github.com/spikebox/spikebox/cmd/internal/cli"
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
	missing := ""
	lookup := func(vital string) (string, bool) {
		unit, ok := units[vital]
		if !ok {
			missing = vital
		}
		return unit, ok
	}
	set := timeline.Build(&e.Columns)
	lines := json.NewEncoder(cli.Out)
	lines.SetEscapeHTML(false) // triggers are full of >
	for _, expr := range exprs {
		t, err := rule.Parse(expr, lookup)
		if err != nil {
			return &cli.Coded{Code: cli.Usage, Err: err, Hint: cli.Meant(missing, slices.Sorted(maps.Keys(units)), "spikebox timeline BUNDLE names the vitals")}
		}
		run := try(t, set.Get(t.Vital))
		if asJSON {
			err = lines.Encode(run)
		} else {
			err = run.Text(cli.Out, e.Manifest.Trigger.Time)
		}
		if err != nil {
			return err
		}
	}
	return sound(e)
}

// try steps a trigger with the vital's values. Triggers are the recorder's and series are
// the analyzer's: neither knows the other, and they meet here.
func try(t *rule.Trigger, s *timeline.Series) *report.Trial {
	eval := rule.NewEval(t)
	return report.Try(t.Expr, t.Unit, t.Above, s, func(now time.Time, v float64) (report.Firing, bool) {
		f, ok := eval.Step(now, v)
		return report.Firing{Time: f.Time, Since: f.Since, Value: f.Value, Limit: f.Limit}, ok
	})
}
