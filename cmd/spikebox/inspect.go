package main

import (
	"context"

	"github.com/spf13/pflag"

	"github.com/spikebox/spikebox/analyzer/report"
	"github.com/spikebox/spikebox/cmd/internal/cli"
)

var inspect = &cli.Command{
	Name:     "inspect",
	Args:     "BUNDLE [--json]",
	Doc:      "say what is in a bundle: host, trigger, sources, members",
	Examples: []string{"spikebox inspect web1.spike.tar.zst", "spikebox inspect --json web1.spike.tar.zst | jq .sources"},
	Setup: func(flags *pflag.FlagSet) func(context.Context, []string) error {
		asJSON := flags.Bool("json", false, "print the manifest with the members as JSON")
		return func(_ context.Context, args []string) error {
			if len(args) > 1 {
				return cli.Usagef("inspect takes one bundle, not %d", len(args))
			}
			return runInspect(args, *asJSON)
		}
	},
}

// runInspect prints also what a damaged bundle says of itself, and then the damage.
func runInspect(args []string, asJSON bool) error {
	r, err := openBundle(args)
	if err != nil {
		return err
	}
	defer r.Close()
	all := report.Inspect(r)
	if asJSON {
		err = report.JSON(cli.Out, all)
	} else {
		err = all.Text(cli.Out)
	}
	if err != nil {
		return err
	}
	return damaged(r.Damage())
}
