//go:build linux

package main

import (
	"context"
	"fmt"
	"strings"
	"text/tabwriter"

	"github.com/spf13/pflag"

	"github.com/spikebox/spikebox/cmd/internal/cli"
	"github.com/spikebox/spikebox/format"
)

var check = &cli.Command{
	Name: "check",
	Args: "[FLAG …]",
	Doc:  "say all that is wrong with a configuration, and what would be in force",
	Long: `It takes the flags of run, from the same places, and opens nothing: for what this host
does not give ask spikeboxd doctor. What is wrong comes one to a line on standard error,
with exit code 2; else it prints the flags that are given, and where.

` + settingsHelp,
	Examples: []string{"spikeboxd check --config new.conf && systemctl reload spikeboxd"},
	Setup: func(flags *pflag.FlagSet) func(context.Context, []string) error {
		var f runFlags
		f.declare(flags)
		return func(_ context.Context, args []string) error {
			if len(args) > 0 {
				return cli.Usagef("check takes no argument %q", args[0])
			}
			given := changed(flags)
			cfg, from, err := f.settle(flags)
			if err != nil {
				return err
			}
			for _, s := range given {
				from[s.name] = "command line"
			}
			return printInForce(flags, cfg.Flags, from)
		}
	},
}

// printInForce prints the flags that one of the places gives, in the order of the help page.
func printInForce(flags *pflag.FlagSet, values map[string]format.Setting, from map[string]string) error {
	table := tabwriter.NewWriter(cli.Out, 0, 0, 2, ' ', 0)
	flags.VisitAll(func(f *pflag.Flag) {
		where, given := from[f.Name]
		if !given {
			return
		}
		value := values[f.Name].Text
		if list := values[f.Name].List; list != nil {
			value = strings.Join(list, " · ")
		}
		fmt.Fprintf(table, "%s\t%s\t%s\n", f.Name, value, where)
	})
	if len(from) == 0 {
		fmt.Fprintln(table, "every flag has its default")
	}
	return table.Flush()
}
