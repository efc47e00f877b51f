//go:build linux

package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strings"
	"text/tabwriter"

	"github.com/spf13/pflag"

	"github.com/spikebox/spikebox/cmd/internal/cli"
	"github.com/spikebox/spikebox/cmd/spikebox-lab/incident"
	"github.com/spikebox/spikebox/cmd/spikebox-lab/lab"
)

var score = &cli.Command{
	Name: "score",
	Args: "[INCIDENT …] -o DIR",
	Doc:  "make incidents, all if none is named, and score what spikebox analyze says of them",
	Long: `An incident is found when its root finding and the root's known effects are all among
the findings, and missed otherwise. A finding that is a warning or critical, and that
nobody expects, is false; "unexplained" is not where the root was not found, and not
being found is all that it counts for. The exit code is 1 if one was missed, where the analyzer has
the checks for it, or false, or if a run failed.

With --armed the recorder has its default triggers, and what it would know after 130 s on a
healthy host (learned first, into learned.json). The table says in how many runs it fired,
how long after the onset and after the first client was hurt, by the clients' own logs: a
request that took a second or failed, and in how many the bundle that it fired for has the root.
The exit code is 1 if an incident that hurt did not fire, or was not named, if a finding is
false, or if a trigger fired where nothing was wrong.

The flags that an incident has of its own (spikebox-lab show INCIDENT) are taken, too, where all
that are named have them: --baseline 5m is a healthy host for five minutes.`,
	Examples: []string{
		"spikebox-lab score -o /tmp/score",
		"spikebox-lab score --armed --runs 3 -o /tmp/armed",
		"spikebox-lab score healthy healthy-busy --runs 10 -o /tmp/score --json",
	},
	Setup: setupScore,
}

// setupScore declares the flags of score.
func setupScore(flags *pflag.FlagSet) func(context.Context, []string) error {
	opt := &lab.Options{Log: os.Stderr, Params: map[string]string{}}
	check, variant := scaleFlag(flags, opt), variantFlag(flags, &opt.Variant)
	runs := flags.Int("runs", 1, "of each incident, with a seed of its own each")
	armed := flags.Bool("armed", false, "arm the default triggers, and score whether and when they fire")
	atOnce := flags.Int("at-once", 1, "with --armed, incidents that are made side by side")
	asJSON := flags.Bool("json", false, "print one JSON document")
	spikebox := flags.String("spikebox", "", "the analyzer (default: beside spikebox-lab, then in $PATH)")
	flags.StringVarP(&opt.Dir, "out", "o", "", "folder for the bundles and truths, a folder each")
	flags.Uint64Var(&opt.Seed, "seed", 1, "of the first run")
	recorderFlag(flags, opt)
	ownFlags(flags)
	return func(ctx context.Context, args []string) error {
		if opt.Dir == "" {
			return cli.Usagef("score needs -o DIR")
		}
		if *runs < 1 {
			return cli.Usagef("--runs is 1 at least, not %d", *runs)
		}
		incidents, err := named(args)
		if err != nil {
			return err
		}
		for _, inc := range incidents {
			if err := takeOwn(flags, inc, opt.Params); err != nil {
				return err
			}
		}
		if err := errors.Join(check(), variant()); err != nil {
			return err
		}
		if *armed {
			scores, err := measureArmed(ctx, incidents, *opt, *spikebox, *runs, max(1, *atOnce))
			if err != nil {
				return err
			}
			return printArmed(scores, *asJSON)
		}
		scores, err := measure(ctx, incidents, *opt, *spikebox, *runs)
		if err != nil {
			return err
		}
		return printScores(scores, *asJSON)
	}
}

// measure makes the incidents one after another: side by side they would be each other's
// load.
func measure(ctx context.Context, incidents []*lab.Incident, opt lab.Options, spikebox string, runs int) ([]*lab.Score, error) {
	var scores []*lab.Score
	for _, inc := range incidents {
		fmt.Fprintf(os.Stderr, "== %s\n", inc.Name)
		s, err := lab.Measure(ctx, inc, opt, spikebox, runs)
		if err != nil {
			return nil, err
		}
		for _, text := range s.Errors {
			fmt.Fprintf(os.Stderr, "spikebox-lab: error: run %s: %s\n", inc.Name, text)
		}
		scores = append(scores, s)
	}
	return scores, nil
}

// named finds the incidents of these names; no name means all.
func named(names []string) ([]*lab.Incident, error) {
	if len(names) == 0 {
		return incident.All, nil
	}
	var all []*lab.Incident
	for _, name := range names {
		inc, err := one([]string{name})
		if err != nil {
			return nil, err
		}
		all = append(all, inc)
	}
	return all, nil
}

// printScores prints the table or the document. The error it returns where something is
// missed, false or failed says nothing more: it only sets the exit code.
func printScores(scores []*lab.Score, asJSON bool) error {
	var err error
	if asJSON {
		err = json.NewEncoder(os.Stdout).Encode(map[string]any{"incidents": scores})
	} else {
		w := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', 0)
		fmt.Fprintln(w, "incident\truns\tfound\tmissed\tfalse findings\tmissing\tno check yet")
		for _, s := range scores {
			fmt.Fprintf(w, "%s\t%d\t%d\t%d\t%s\t%s\t%s\n", s.Name, s.Runs, s.Found, s.Missed,
				strings.Join(s.False, " "), strings.Join(s.Missing, " "), strings.Join(s.Unbuilt, " "))
		}
		err = w.Flush()
	}
	if err != nil {
		return fmt.Errorf("print scores: %w", err)
	}
	for _, s := range scores {
		if len(s.False)+len(s.Missing)+len(s.Errors) > 0 {
			return &cli.Coded{Code: cli.Failed} // the table says what is wrong
		}
	}
	return nil
}
