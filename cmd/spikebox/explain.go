package main

import (
	"context"
	"fmt"

	"github.com/spf13/pflag"

	"github.com/spikebox/spikebox/analyzer"
	"github.com/spikebox/spikebox/analyzer/check"
	"github.com/spikebox/spikebox/analyzer/evidence"
	"github.com/spikebox/spikebox/analyzer/report"
	"github.com/spikebox/spikebox/cmd/internal/cli"
)

var explain = &cli.Command{
	Name:     "explain",
	Args:     "[CHECK [BUNDLE|PCAP…]]",
	Doc:      "say what a check looks for, what it needs, and its limits",
	Long:     "Without a name it lists all checks. With a bundle or captures it says, too, what the\ncheck finds there.",
	Examples: []string{"spikebox explain", "spikebox explain listen-overflow", "spikebox explain syn-retransmit web1.spike.tar.zst"},
	First:    checkIDs(),
	Setup: func(*pflag.FlagSet) func(context.Context, []string) error {
		return func(_ context.Context, args []string) error {
			if len(args) == 0 {
				return report.ListChecks(cli.Out, check.All)
			}
			return explainCheck(args[0], args[1:])
		}
	},
}

// explainCheck explains the check of a name, and what it says of the inputs.
func explainCheck(id string, paths []string) error {
	c := check.Find(id)
	if c == nil {
		return noCheck(id)
	}
	if len(paths) == 0 {
		return report.Explain(cli.Out, c)
	}
	// Before anything is printed: what is no input is an error, and no page.
	doc, err := analyzer.Run(paths, evidence.Options{})
	if err != nil {
		return opened(paths, anyInput, err)
	}
	if err := report.Explain(cli.Out, c); err != nil {
		return err
	}
	if err := report.Answer(cli.Out, doc, id, style()); err != nil {
		return err
	}
	return outcome(doc, "")
}

// noCheck says that an ID is no check's, and which may have been meant.
func noCheck(id string) error {
	return &cli.Coded{Code: cli.Usage, Err: fmt.Errorf("no such check %q", id), Hint: cli.Meant(id, checkIDs(), "spikebox explain lists them")}
}

// checkIDs are the names of all checks.
func checkIDs() (ids []string) {
	for _, c := range check.All {
		ids = append(ids, c.ID)
	}
	return ids
}
