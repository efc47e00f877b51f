package main

import (
	"cmp"
	"context"
	"fmt"

	"github.com/spf13/pflag"

	"github.com/spikebox/spikebox/analyzer/evidence"
	"github.com/spikebox/spikebox/analyzer/report"
	"github.com/spikebox/spikebox/cmd/internal/cli"
	"github.com/spikebox/spikebox/format"
)

var diff = &cli.Command{
	Name: "diff",
	Args: "BAD GOOD [--json]",
	Doc:  "compare two bundles: what differs of hosts, settings and numbers",
	Long: `GOOD is a bundle to compare with: of the time before, of another host, or of the same
load with another setting. Of both are compared what is known of host and recorder,
the sysctls, and every number over time: the readings of BAD that are furthest from
GOOD's usual, which is the median over its window, and GOOD's own furthest reading.
What moved together is one line. Softirqs and functions of which some took four times
as long in one of the two are set beside each other, as histogram prints them.

Exit code 3: a text of one of them could not be read, or not kept whole.
Exit code 4: one of them is damaged; what is whole was compared.`,
	Examples: []string{"spikebox diff tcp_rmem-32MiB.spike.tar.zst tcp_rmem-4MiB.spike.tar.zst"},
	Setup: func(flags *pflag.FlagSet) func(context.Context, []string) error {
		asJSON := flags.Bool("json", false, "print JSON")
		return func(_ context.Context, args []string) error {
			if len(args) != 2 {
				return cli.Usagef("diff takes two bundles, not %d", len(args))
			}
			if args[0] == "-" && args[1] == "-" {
				return cli.Usagef("standard input can be one of the two only")
			}
			return runDiff(args[0], args[1], *asJSON)
		}
	},
}

// runDiff prints the difference, and then what was lost of either.
func runDiff(bad, good string, asJSON bool) error {
	a, badSums, err := withDurations(bad)
	if err != nil {
		return err
	}
	b, goodSums, err := withDurations(good)
	if err != nil {
		return err
	}
	d := report.MakeDifference(a, b, badSums, goodSums)
	if asJSON {
		err = report.JSON(cli.Out, d)
	} else {
		err = d.Text(cli.Out, style())
	}
	if err != nil {
		return fmt.Errorf("write difference: %w", err)
	}
	lost := sound(a)
	return cmp.Or(lost, sound(b))
}

// withDurations reads a bundle, once since it may come through a pipe, and adds up how long softirqs and functions took
// over the whole window.
func withDurations(path string) (*evidence.Evidence, []report.Histogram, error) {
	sums := report.NewSums(format.Trigger{}) // all of it is from the trigger on
	e, err := readTexts(path, sums.Add)
	return e, sums.List(), err
}
