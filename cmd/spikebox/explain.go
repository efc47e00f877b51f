package main

import (
	"context"
	"fmt"

	"github.com/spf13/pflag"

	"github.com/spikebox/spikebox/analyzer/check"
	"github.com/spikebox/spikebox/analyzer/report"
	"github.com/spikebox/spikebox/cmd/internal/cli"
)

var explain = &cli.Command{
	Name:     "explain",
	Args:     "[CHECK]",
	Doc:      "say what a check looks for, what it needs, and its limits",
	Long:     "Without a name it lists all checks.",
	Examples: []string{"spikebox explain", "spikebox explain listen-overflow"},
	Setup: func(*pflag.FlagSet) func(context.Context, []string) error {
		return func(_ context.Context, args []string) error {
			switch len(args) {
			case 0:
				return report.ListChecks(cli.Out, check.All)
			case 1:
				return explainCheck(args[0])
			}
			return cli.Usagef("explain takes one check, not %d", len(args))
		}
	},
}

// explainCheck explains the check of a name.
func explainCheck(id string) error {
	c := check.Find(id)
	if c == nil {
		return noCheck(id)
	}
	return report.Explain(cli.Out, c)
}

// noCheck says that an ID is no check's, and which may have been meant.
func noCheck(id string) error {
	var ids []string
	for _, c := range check.All {
		ids = append(ids, c.ID)
	}
	return &cli.Coded{Code: cli.Usage, Err: fmt.Errorf("no such check %q", id), Hint: cli.Meant(id, ids, "spikebox explain lists them")}
}
