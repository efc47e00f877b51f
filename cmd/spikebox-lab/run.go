//go:build linux

package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/spf13/pflag"

	"github.com/spikebox/spikebox/cmd/internal/cli"
	"github.com/spikebox/spikebox/cmd/spikebox-lab/lab"
)

var run = &cli.Command{
	Name: "run",
	Args: "INCIDENT -o DIR",
	Doc:  "make one incident; leaves the bundle and truth.json in DIR",
	Long: `Builds hosts from network namespaces and veth pairs, lets real servers and clients
talk, arms spikeboxd on the server's host, makes the incident, and waits for the
bundle, whose path it prints. truth.json beside it says what was done to which flows
and when, with the kernel's own counters. The machine's own network is not touched,
and nothing is left behind.

spikebox-lab show INCIDENT lists the flags that an incident has besides these.`,
	Examples: []string{
		"spikebox-lab run listen-overflow -o /tmp/incident",
		"spikebox-lab run tcp-collapse --rmem 4MiB -o /tmp/incident",
	},
	Setup: setupRun,
}

// setupRun declares the flags of run.
func setupRun(flags *pflag.FlagSet) func(context.Context, []string) error {
	opt := &lab.Options{Log: os.Stderr, Params: map[string]string{}}
	check, variant := scaleFlag(flags, opt), variantFlag(flags, &opt.Variant)
	flags.StringVarP(&opt.Dir, "out", "o", "", "folder for the bundle and truth.json")
	flags.Uint64Var(&opt.Seed, "seed", 1, "of everything that is drawn at random")
	recorderFlag(flags, opt)
	flags.BoolVar(&opt.Keep, "keep", false, "leave everything running until interrupted")
	flags.BoolVarP(&opt.Verbose, "verbose", "v", false, "print what spikeboxd and the actors say")
	flags.BoolVar(&opt.NoRecorder, "no-recorder", false, "make the incident without a recorder")
	flags.Lookup("no-recorder").Hidden = true
	ownFlags(flags)
	return func(ctx context.Context, args []string) error {
		inc, err := one(args)
		if err != nil {
			return err
		}
		if opt.Dir == "" {
			return cli.Usagef("run needs -o DIR")
		}
		if err := errors.Join(check(), variant()); err != nil {
			return err
		}
		if err := takeOwn(flags, inc, opt.Params); err != nil {
			return err
		}
		truth, err := lab.Run(ctx, inc, *opt)
		// Named on standard output only where it is good: scripts take the path from there.
		if err == nil && truth.Bundle != "" {
			fmt.Println(filepath.Join(opt.Dir, truth.Bundle))
		}
		return err
	}
}
