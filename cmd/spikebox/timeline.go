package main

import (
	"bufio"
	"context"
	"fmt"
	"slices"

	"github.com/spf13/pflag"

	"github.com/spikebox/spikebox/analyzer/evidence"
	"github.com/spikebox/spikebox/analyzer/report"
	"github.com/spikebox/spikebox/analyzer/timeline"
	"github.com/spikebox/spikebox/cmd/internal/cli"
	"github.com/spikebox/spikebox/format"
)

var timelines = &cli.Command{
	Name: "timeline",
	Args: "BUNDLE|PCAP… [--series GLOB] [--csv|--json]",
	Doc:  "print the numbers over time: of vitals, packets, kernel texts",
	Long: `Takes a bundle, captures, or both; of captures there are only the series of packets,
packets.*: they count by the ticks of the vitals, four a second, or longer ones where the
window is longer than four minutes. Without --series it lists every number that changed within the window. Counters are
printed as rates per second; what was not read is a gap: empty in CSV, null in JSON.
--csv prints series,unit,source,time,value; --json one object for each series, with
times in Unix nanoseconds.

Exit code 3: a text could not be read, or not kept whole. Exit code 4: the bundle is
damaged; what is whole was read.`,
	Examples: []string{
		"spikebox timeline web1.spike.tar.zst",
		"spikebox timeline --series 'netstat.TcpExt.Listen*' --series 'softnet.cpu*.dropped' --csv web1.spike.tar.zst",
	},
	Setup: setupTimeline,
}

// timelineFlags are the flags of timeline.
type timelineFlags struct {
	globs     []string
	csv, json bool
}

func setupTimeline(flags *pflag.FlagSet) func(context.Context, []string) error {
	var f timelineFlags
	flags.StringArrayVar(&f.globs, "series", nil, "only series of this name; * and ? stand for anything, dots included; repeatable")
	flags.BoolVar(&f.csv, "csv", false, "comma-separated values")
	flags.BoolVar(&f.json, "json", false, "JSON Lines")
	return func(_ context.Context, args []string) error {
		switch {
		case len(args) == 0:
			return cli.Usagef("timeline of what? a bundle or captures are missing")
		case f.csv && f.json:
			return cli.Usagef("--csv and --json exclude each other")
		}
		return runTimeline(args, f)
	}
}

// runTimeline prints series in the order of their names, or of the patterns.
func runTimeline(paths []string, f timelineFlags) error {
	bar := startBar()
	e, err := evidence.Read(paths, evidence.Options{Progress: &bar.progress})
	bar.stop()
	if err != nil {
		return opened(paths, anyInput, err)
	}
	series, err := pick(timeline.Build(&e.Columns), f.globs)
	if err != nil {
		return err
	}
	// All over the bundle's window, not over their own readings: a late series begins late.
	start, end := e.Window()
	window := timeline.Span{Start: start, End: end}
	out := bufio.NewWriterSize(cli.Out, 1<<16)
	switch {
	case f.csv:
		err = report.SeriesCSV(out, series)
	case f.json:
		err = report.SeriesJSON(out, series, window)
	default:
		err = report.SeriesTable(out, series, window, style(), len(f.globs) > 0)
	}
	if ferr := out.Flush(); err == nil {
		err = ferr
	}
	if err != nil {
		return fmt.Errorf("write timeline: %w", err)
	}
	return sound(e)
}

// readTexts reads a bundle without its packets.
func readTexts(path string) (*evidence.Evidence, error) {
	e, err := evidence.Read([]string{path}, evidence.Options{NoPackets: true})
	if err != nil {
		return nil, opened([]string{path}, onlyBundles, err)
	}
	if e.Manifest == nil {
		return nil, &cli.Coded{Code: cli.Failed, Err: fmt.Errorf("read %s: it is %s", path, format.Capture), Hint: "numbers over time are in bundles only; analyze, timeline and flows take captures, too"}
	}
	return e, nil
}

// pick gives the series that match any of the patterns, each once; all without patterns.
func pick(all *timeline.Set, globs []string) ([]*timeline.Series, error) {
	if len(globs) == 0 {
		globs = []string{"*"}
	}
	var picked []*timeline.Series
	for _, glob := range globs {
		found, err := all.Match(glob)
		if err != nil {
			return nil, cli.Usagef("series %q: %w", glob, err)
		}
		// Silence would read as calm in a script whose pattern is misspelt.
		if len(found) == 0 {
			hint := cli.Meant(glob, all.Names(), "spikebox timeline BUNDLE lists those that changed")
			return nil, &cli.Coded{Code: cli.Failed, Err: fmt.Errorf("no series %q in the bundle", glob), Hint: hint}
		}
		for _, s := range found {
			if !slices.Contains(picked, s) {
				picked = append(picked, s)
			}
		}
	}
	return picked, nil
}
