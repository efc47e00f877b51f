//go:build linux

package main

import (
	"context"
	"time"

	"github.com/spf13/pflag"

	"github.com/spikebox/spikebox/cmd/internal/cli"
	"github.com/spikebox/spikebox/recorder"
)

var calibrate = &cli.Command{
	Name: "calibrate",
	Args: "[--for DURATION]",
	Doc:  "watch the vitals for a while and propose limits",
	Long: `It records no packets. Run it at the busiest time of a day on which all is well: a
limit is three times the largest value that it saw.`,
	Examples: []string{"spikeboxd calibrate --for 2m"},
	Setup: func(flags *pflag.FlagSet) func(context.Context, []string) error {
		span := flags.Duration("for", 2*time.Minute, "how long to watch")
		return func(ctx context.Context, args []string) error {
			if len(args) > 0 || *span <= 0 {
				return cli.Usagef("calibrate takes a duration of more than 0 and no argument")
			}
			said := func(line string) { cli.Say("spikeboxd: %s", line) }
			return recorder.PrintCalibration(cli.Out, recorder.Calibrate(ctx, "/", *span, said))
		}
	},
}
