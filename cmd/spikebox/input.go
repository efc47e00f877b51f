package main

import (
	"errors"

	"github.com/spikebox/spikebox/analyzer/evidence"
	"github.com/spikebox/spikebox/cmd/internal/cli"
	"github.com/spikebox/spikebox/format"
)

// opened adds what helps to an error of opening the inputs.
func opened(paths []string, takes string, err error) error {
	var version *format.VersionError
	var limit *format.LimitError
	hint := ""
	switch {
	case errors.Is(err, evidence.ErrTwoBundles):
		return &cli.Coded{Code: cli.Usage, Err: err, Hint: "run analyze for each bundle"}
	case errors.As(err, &version):
		hint = "a newer spikebox reads it"
	case errors.As(err, &limit):
		hint = "a bundle this large is no recorder's; unpack it by hand if you trust it"
	case errors.Is(err, format.ErrTruncated):
		return &cli.Coded{Code: cli.Damaged, Err: err, Hint: "copy it again from the host"}
	}
	if other := mistaken(paths, takes, err); other != nil && hint == "" {
		return other
	}
	return &cli.Coded{Code: cli.Failed, Err: err, Hint: hint}
}

// openBundle opens the one bundle that a subcommand takes.
func openBundle(args []string) (*format.Reader, error) {
	if len(args) == 0 {
		return nil, cli.Usagef("which bundle? its path is missing")
	}
	if args[0] == "-" {
		return nil, cli.Usagef("a bundle is read from a file only, by the index at its end: save it first")
	}
	r, err := format.Open(args[0], format.Limits{})
	if err != nil {
		return nil, opened(args[:1], onlyBundles, err)
	}
	return r, nil
}

// damaged lists damage on standard error and gives the exit code for it.
func damaged(errs []error) error {
	if len(errs) == 0 {
		return nil
	}
	for _, err := range errs {
		cli.Say("spikebox: damaged: %v", err)
	}
	return &cli.Coded{Code: cli.Damaged}
}
