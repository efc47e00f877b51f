package main

import (
	"context"
	"encoding/json"

	"github.com/spf13/pflag"

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
baseline, which the recorder leaves in the bundle where one of its triggers had a
factor on that vital. Where the answer depends on what is not in the bundle, it says
that it cannot tell, and why ("fired": null, exit code 3).`,
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
	e, err := readTexts(path, nil)
	if err != nil {
		return err
	}
	vitals := rule.Vitals{}
	for _, v := range e.Manifest.Vitals {
		vitals[v.Name] = v.Unit
	}
	set := timeline.Build(&e.Columns)
	lines := json.NewEncoder(cli.Out)
	lines.SetEscapeHTML(false) // triggers are full of >
	untold := false
	for _, expr := range exprs {
		t, err := rule.Parse(expr, vitals)
		if err != nil {
			return &cli.Coded{Code: cli.Usage, Err: err, Hint: "spikebox timeline BUNDLE names the vitals"}
		}
		run := try(t, set, e.Manifest)
		if untold = untold || run.Fired == nil; asJSON {
			err = lines.Encode(run)
		} else {
			err = run.Text(cli.Out, e.Manifest.Trigger.Time)
		}
		if err != nil {
			return err
		}
	}
	if err := sound(e); err != nil || !untold {
		return err
	}
	return &cli.Coded{Code: cli.Missing}
}
