//go:build linux

package main

import (
	"context"
	"fmt"
	"os"
	"text/tabwriter"

	"github.com/spf13/pflag"

	"github.com/spikebox/spikebox/cmd/internal/cli"
	"github.com/spikebox/spikebox/format"
	"github.com/spikebox/spikebox/recorder"
)

var vitals = &cli.Command{
	Name:     "vitals",
	Doc:      "list the vitals, and what measures each on this kernel",
	Examples: []string{"spikeboxd vitals"},
	Setup:    survey(printVitals),
}

var sources = &cli.Command{
	Name:     "sources",
	Doc:      "list the kinds of evidence, and what this host gives of each",
	Examples: []string{"spikeboxd sources"},
	Setup:    survey(printSources),
}

var doctor = &cli.Command{
	Name: "doctor",
	Doc:  "say what is missing on this host, why, and what that costs",
	Long: `It tries what arming would open, changes nothing, and ends with exit code 3 where
something is missing.`,
	Examples: []string{"spikeboxd doctor"},
	Setup:    survey(diagnose),
}

func survey(print func(*recorder.Survey) error) func(*pflag.FlagSet) func(context.Context, []string) error {
	return func(*pflag.FlagSet) func(context.Context, []string) error {
		return func(_ context.Context, args []string) error {
			if len(args) > 0 {
				return cli.Usagef("it takes no argument %q", args[0])
			}
			return print(recorder.MakeSurvey("/"))
		}
	}
}

func printVitals(s *recorder.Survey) error {
	table := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "VITAL\tUNIT\tMEASURED BY\tMEANING")
	for _, v := range s.Vitals {
		by := v.Source
		if by == "" {
			by = "nothing"
		}
		fmt.Fprintf(table, "%s\t%s\t%s\t%s\n", v.Name, v.Unit, by, v.Doc)
	}
	if err := table.Flush(); err != nil {
		return err
	}
	said := map[string]bool{}
	for _, v := range s.Vitals {
		if v.Reason != "" && !said[v.Reason] {
			said[v.Reason] = true
			fmt.Printf("\n%s: %s\n", v.Name, v.Reason)
		}
	}
	return nil
}

func printSources(s *recorder.Survey) error {
	table := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "SOURCE\tSTATE\tBY\tWHAT IT IS")
	for _, src := range s.Sources {
		fmt.Fprintf(table, "%s\t%s\t%s\t%s\n", src.Name, src.State, src.Variant, src.Doc)
	}
	return table.Flush()
}

// diagnose prints what is missing by its cause: one missing capability is one paragraph.
func diagnose(s *recorder.Survey) error {
	var causes []string
	missing := map[string][]recorder.SurveyedSource{}
	n := 0
	for _, src := range s.Sources {
		if src.State == format.Complete {
			continue
		}
		if missing[src.Reason] == nil {
			causes = append(causes, src.Reason)
		}
		missing[src.Reason] = append(missing[src.Reason], src)
		n++
	}
	if n == 0 {
		fmt.Printf("all %d sources and %d vitals are there\n", len(s.Sources), len(s.Vitals))
		return nil
	}
	for _, cause := range causes {
		fmt.Println(cause + ":")
		for _, src := range missing[cause] {
			fmt.Printf("  %s is %s", src.Name, src.State)
			if src.Without != "" {
				fmt.Printf(", which costs: %s", src.Without)
			}
			fmt.Println()
		}
	}
	fmt.Printf("%d of %d sources are not complete; the recorder runs on with the others\n", n, len(s.Sources))
	return &cli.Coded{Code: cli.Missing}
}
