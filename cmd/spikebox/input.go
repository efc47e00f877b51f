package main

import (
	"cmp"
	"errors"
	"os"

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
	case errors.Is(err, evidence.ErrStdinTwice):
		return &cli.Coded{Code: cli.Usage, Err: err, Hint: "save it to a file"}
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
	var r *format.Reader
	var err error
	if args[0] == "-" {
		r, err = format.OpenStream(os.Stdin, format.Limits{})
	} else {
		r, err = format.Open(args[0], format.Limits{})
	}
	if err != nil {
		return nil, opened(args[:1], onlyBundles, err)
	}
	return r, nil
}

// once says whether an input can be read once only: what comes through a pipe is gone then.
func once(path string) bool {
	info, err := os.Stat(path)
	return path == "-" || err == nil && !info.Mode().IsRegular() && !info.IsDir()
}

// damaged lists damage on standard error and gives the exit code for it.
func damaged(errs []error) error {
	if len(errs) == 0 {
		return nil
	}
	for _, err := range errs {
		cli.Warn("spikebox: damaged: %v", err)
	}
	return &cli.Coded{Code: cli.Damaged}
}

// partial lists on standard error what could not be read or kept, and gives the exit code for it.
func partial(e *evidence.Evidence) error {
	for _, p := range e.Partial.List {
		cli.Warn("spikebox: partial: %v", p)
	}
	switch {
	case len(e.Partial.List) == 0:
		return nil
	case e.Partial.More > 0:
		cli.Warn("spikebox: partial: %d more members", e.Partial.More)
	}
	return &cli.Coded{Code: cli.Missing}
}

// sound turns what was lost of a bundle into words and an exit code: damage is more than what
// could not be kept.
func sound(e *evidence.Evidence) error {
	lost := partial(e)
	return cmp.Or(damaged(e.Damage), lost)
}
