package main

import (
	"context"
	"fmt"
	"os"
	"strings"
	"text/tabwriter"

	"github.com/spf13/pflag"

	"github.com/spikebox/spikebox/analyzer/check"
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
				return listChecks()
			case 1:
				return explainCheck(args[0])
			}
			return cli.Usagef("explain takes one check, not %d", len(args))
		}
	},
}

// listChecks prints the explicit list, in its order.
func listChecks() error {
	table := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', 0)
	for _, c := range check.All {
		fmt.Fprintf(table, "%s\t%s\n", c.ID, c.Doc)
	}
	return table.Flush()
}

// explainCheck prints a check's literal: what it is for, and every number with its reason.
func explainCheck(id string) error {
	c := check.Find(id)
	if c == nil {
		return &cli.Coded{Code: cli.Usage, Err: fmt.Errorf("no such check %q", id), Hint: "spikebox explain lists them"}
	}
	fmt.Printf("%s: %s\n\n%s\n", c.ID, c.Doc, c.Page)
	if len(c.Needs) > 0 {
		var needs []string
		for _, n := range c.Needs {
			needs = append(needs, n.Name)
		}
		fmt.Printf("\nNeeds: %s\n", strings.Join(needs, ", "))
	}
	for i, l := range c.Limits {
		if i == 0 {
			fmt.Print("\nLimits:\n")
		}
		fmt.Printf("  %s: %g %s\n      %s\n", l.Name, l.Value, l.Unit, l.Why)
	}
	fmt.Printf("\nReference: %s\n", c.Ref)
	return nil
}
