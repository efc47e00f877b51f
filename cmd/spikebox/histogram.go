package main

import (
	"context"
	"fmt"
	"io"
	"path"

	"github.com/spf13/pflag"

	"github.com/spikebox/spikebox/analyzer/report"
	"github.com/spikebox/spikebox/cmd/internal/cli"
	"github.com/spikebox/spikebox/format"
	"github.com/spikebox/spikebox/format/member"
)

var histogram = &cli.Command{
	Name: "histogram",
	Args: "BUNDLE [--name GLOB] [--cpu N] [--json]",
	Doc:  "print how long softirqs and kernel functions ran",
	Long: `One table before the trigger, one from it on.
A value is the lower bound of its row, a power of two: 1us is 2^10 ns, 1ms is 2^20 ns.
Softirqs belong to the machine, not to a network namespace.`,
	Examples: []string{"spikebox histogram incident.spike.tar.zst --name 'NET_RX'", "spikebox histogram incident.spike.tar.zst --name 'tcp_*'"},
	Setup: func(flags *pflag.FlagSet) func(context.Context, []string) error {
		name := flags.String("name", "*", "only softirqs and functions of this name")
		cpu := flags.Int("cpu", -1, "only this CPU")
		asJSON := flags.Bool("json", false, "one JSON object a line")
		return func(_ context.Context, args []string) error {
			if _, err := path.Match(*name, ""); err != nil || len(args) != 1 {
				return cli.Usagef("histogram takes one bundle, and a pattern such as 'tcp_*' for --name")
			}
			r, err := openBundle(args)
			if err != nil {
				return err
			}
			defer r.Close()
			rows, err := latencies(r, *name, *cpu)
			if err != nil {
				return err
			}
			histograms := report.Histograms(rows, r.Manifest.Trigger)
			if *asJSON {
				err = report.HistogramJSON(cli.Out, histograms)
			} else {
				err = report.HistogramText(cli.Out, histograms)
			}
			if err != nil {
				return err
			}
			return damaged(r.Damage())
		}
	},
}

// latencies reads the rows that were asked for. A bundle without them says why.
func latencies(r *format.Reader, name string, cpu int) ([]member.Latency, error) {
	// One member by the seek table: to read the bundle as evidence would take its packets, too.
	content, err := r.Open(member.LatenciesName)
	if err != nil {
		return nil, err
	}
	defer content.Close()
	text, err := io.ReadAll(content)
	if err != nil {
		return nil, err
	}
	all, err := member.ParseLatencies(text)
	if err != nil {
		return nil, fmt.Errorf("read member %q: %w", member.LatenciesName, err)
	}
	var rows []member.Latency
	for _, l := range all {
		if match, _ := path.Match(name, l.Name); match && (cpu < 0 || l.CPU == cpu) {
			rows = append(rows, l)
		}
	}
	if len(rows) == 0 {
		return nil, noLatencies(r.Manifest)
	}
	return rows, nil
}

// noLatencies says why nothing is there: the probe was refused, or nothing matches.
func noLatencies(m *format.Manifest) error {
	for _, s := range m.Sources {
		if s.Name == "probe.softirq" && s.State != format.Complete {
			return &cli.Coded{Code: cli.Missing, Err: fmt.Errorf("no latencies were recorded: %s", s.Reason)}
		}
	}
	return &cli.Coded{Code: cli.Missing, Err: fmt.Errorf("no softirq or function of this name and CPU ran in the window")}
}
