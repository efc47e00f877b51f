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
	Doc:  "watch the vitals for a while and write triggers with limits of this host",
	Long: `It records no packets. What it prints is a configuration file: the default triggers with
numbers in place of factors, each with what was seen, and what was not. Run it at the busiest
time of a day on which all is well, where limits shall not move with what is usual.`,
	Examples: []string{"spikeboxd calibrate --for 10m > spikeboxd.conf", "spikeboxd check --config spikeboxd.conf"},
	Setup: func(flags *pflag.FlagSet) func(context.Context, []string) error {
		span := flags.Duration("for", 2*time.Minute, "how long to watch")
		return func(ctx context.Context, args []string) error {
			if len(args) > 0 || *span <= 0 {
				return cli.Usagef("calibrate takes a duration of more than 0 and no argument")
			}
			return recorder.Calibrate(ctx, "/", *span, logger(false, "info", "")).Print(cli.Out)
		}
	},
}
