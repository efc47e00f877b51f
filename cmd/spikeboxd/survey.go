//go:build linux

package main

import (
	"context"
	"io"

	"github.com/spf13/pflag"

	"github.com/spikebox/spikebox/cmd/internal/cli"
	"github.com/spikebox/spikebox/recorder"
	"github.com/spikebox/spikebox/recorder/capture"
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
	Args: "[FLAG …]",
	Doc:  "say what is missing on this host, why, and what that costs",
	Long: `It takes the flags of run, from the same places, and tries all that arming by them would open:
privileges, folders and their room, sockets, interfaces, triggers that cannot fire, how far back
the rings would reach, the clock, each kind of evidence. It changes nothing. Exit code 3: something
is missing; 1: it would not be armed, or a bundle would be lost; 2: the flags are wrong.

` + settingsHelp,
	Examples: []string{"spikeboxd doctor", "spikeboxd doctor --config new.conf --ring 1GiB"},
	Setup: func(flags *pflag.FlagSet) func(context.Context, []string) error {
		var f runFlags
		f.declare(flags)
		return func(_ context.Context, args []string) error {
			if len(args) > 0 {
				return cli.Usagef("doctor takes no argument %q", args[0])
			}
			cfg, _, err := f.settle(flags)
			if err != nil {
				return err
			}
			s := recorder.MakeSurvey(cfg)
			s.Findings = append(s.Findings, f.entered()...)
			return diagnose(s, cli.Out)
		}
	},
}

// entered says which of the namespaces that are named a recorder can be put into. Everything else is looked at
// from the own one.
func (f *runFlags) entered() (all []recorder.Finding) {
	targets, _ := f.targets()
	for _, t := range targets {
		found := recorder.Finding{Name: "netns", State: recorder.Fine, Text: t.Spec + " can be entered; all of the rest is as seen from the own one"}
		if err := t.Try(); err != nil {
			found.State, found.Text = recorder.Fault, err.Error()
		}
		all = append(all, found)
	}
	return all
}

// survey looks at this host and prints what it found.
func survey(print func(*recorder.Survey, io.Writer) error) func(*pflag.FlagSet) func(context.Context, []string) error {
	return func(*pflag.FlagSet) func(context.Context, []string) error {
		return func(_ context.Context, args []string) error {
			if len(args) > 0 {
				return cli.Usagef("it takes no argument %q", args[0])
			}
			return print(recorder.MakeSurvey(recorder.Config{Root: "/", Before: recorder.DefaultBefore, After: recorder.DefaultAfter, PackCPU: capture.DefaultPackCPU, Dir: "/"}), cli.Out)
		}
	}
}

// diagnose says by the exit code, too, whether something is missing.
func diagnose(s *recorder.Survey, w io.Writer) error {
	incomplete, err := s.PrintDiagnosis(w)
	switch worst := s.Worst(); {
	case err != nil:
		return err
	case worst == recorder.Fault:
		return &cli.Coded{Code: cli.Failed}
	case worst == recorder.Warning || incomplete > 0:
		return &cli.Coded{Code: cli.Missing}
	}
	return nil
}
