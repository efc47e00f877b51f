package main

import (
	"context"
	"fmt"

	"github.com/spf13/pflag"

	"github.com/spikebox/spikebox/cmd/internal/cli"
	"github.com/spikebox/spikebox/format"
	"github.com/spikebox/spikebox/format/plain"
	"github.com/spikebox/spikebox/format/unit"
)

var verify = &cli.Command{
	Name:     "verify",
	Args:     "BUNDLE",
	Doc:      "check every sum; say what is damaged",
	Long:     "Reads the whole bundle and compares each member with SHA256SUMS. Damage is listed on\nstandard error, one line each, and the exit code is 4.",
	Examples: []string{"spikebox verify web1-20261121T034711Z-rtt.p99.spike.tar.zst"},
	Setup: func(*pflag.FlagSet) func(context.Context, []string) error {
		return func(_ context.Context, args []string) error {
			if len(args) > 1 {
				return cli.Usagef("verify takes one bundle, not %d", len(args))
			}
			return runVerify(args)
		}
	},
}

// runVerify is silent about what is whole but for one line, and names all damage.
func runVerify(args []string) error {
	r, err := openBundle(args)
	if err != nil {
		return err
	}
	defer r.Close()
	if errs := format.Check(r); len(errs) > 0 {
		return damaged(errs)
	}
	var bytes int64
	for _, m := range r.Members() {
		bytes += m.Size
	}
	_, err = fmt.Fprintf(cli.Out, "%s: %d members, %s, every sum is right\n", plain.Line(r.Manifest.Name), len(r.Members()), unit.Size(bytes))
	return err
}
