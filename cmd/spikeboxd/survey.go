//go:build linux

package main

import (
	"context"
	"io"

	"github.com/spf13/pflag"

	"github.com/spikebox/spikebox/cmd/internal/cli"
	"github.com/spikebox/spikebox/recorder"
)

var vitals = &cli.Command{
	Name:     "vitals",
	Doc:      "list the vitals, and what measures each on this kernel",
	Examples: []string{"spikeboxd vitals"},
	Setup:    survey((*recorder.Survey).PrintVitals),
}

var sources = &cli.Command{
	Name:     "sources",
	Doc:      "list the kinds of evidence, and what this host gives of each",
	Examples: []string{"spikeboxd sources"},
	Setup:    survey((*recorder.Survey).PrintSources),
}

var doctor = &cli.Command{
	Name: "doctor",
	Doc:  "say what is missing on this host, why, and what that costs",
	Long: `It tries what arming would open, changes nothing, and ends with exit code 3 where
something is missing.`,
	Examples: []string{"spikeboxd doctor"},
	Setup:    survey(diagnose),
}

// survey looks at this host and prints what it found.
func survey(print func(*recorder.Survey, io.Writer) error) func(*pflag.FlagSet) func(context.Context, []string) error {
	return func(*pflag.FlagSet) func(context.Context, []string) error {
		return func(_ context.Context, args []string) error {
			if len(args) > 0 {
				return cli.Usagef("it takes no argument %q", args[0])
			}
			return print(recorder.MakeSurvey("/"), cli.Out)
		}
	}
}

// diagnose says by the exit code, too, whether something is missing.
func diagnose(s *recorder.Survey, w io.Writer) error {
	incomplete, err := s.PrintDiagnosis(w)
	if err == nil && incomplete > 0 {
		return &cli.Coded{Code: cli.Missing}
	}
	return err
}
