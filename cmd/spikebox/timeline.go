package main

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/spf13/pflag"

	"github.com/spikebox/spikebox/analyzer"
	"github.com/spikebox/spikebox/analyzer/check"
	"github.com/spikebox/spikebox/analyzer/evidence"
	"github.com/spikebox/spikebox/analyzer/report"
	"github.com/spikebox/spikebox/analyzer/timeline"
	"github.com/spikebox/spikebox/cmd/internal/cli"
	"github.com/spikebox/spikebox/format"
	"github.com/spikebox/spikebox/format/member"
)

var timelines = &cli.Command{
	Name: "timeline",
	Args: "BUNDLE|PCAP… [--all] [--series GLOB] [--csv|--json]",
	Doc:  "print the numbers over time: of vitals, packets, kernel texts",
	Long: `Takes a bundle, captures, or both; of captures there are only the series of packets,
packets.*: they count by the ticks of the vitals, four a second, or longer ones where the
window is longer than four minutes.

It shows what matters: for each finding the series in which it can be seen, then what
moved most; --all adds every other that changed, by group. Counters are rates per second;
what was not read is a gap: blank, empty in CSV, null in JSON. Series of one family share
a scale, and a mark stands above the trigger's moment. --csv and --json have all series.
--logs adds the requests of a server's log, log.*, as in analyze. --csv prints series,unit,source,time,value; --json one object for each series, with
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
	globs          []string
	csv, json, all bool
	logs           logFlags
}

func setupTimeline(flags *pflag.FlagSet) func(context.Context, []string) error {
	var f timelineFlags
	flags.StringArrayVar(&f.globs, "series", nil, "only series of this name; * and ? stand for anything, dots included; repeatable")
	flags.BoolVar(&f.all, "all", false, "also the series that neither a finding nor what moved names")
	flags.BoolVar(&f.csv, "csv", false, "comma-separated values")
	flags.BoolVar(&f.json, "json", false, "JSON Lines")
	f.logs.add(flags)
	return func(_ context.Context, args []string) error {
		switch {
		case len(args) == 0:
			return cli.Usagef("timeline of what? a bundle or captures are missing")
		case f.csv && f.json:
			return cli.Usagef("--csv and --json exclude each other")
		}
		if err := f.logs.check(); err != nil {
			return err
		}
		return runTimeline(args, f)
	}
}

// runTimeline prints series in the order of what matters, of their names, or of the patterns.
func runTimeline(paths []string, f timelineFlags) error {
	bar := startBar()
	doc, asked, err := analyzer.Ask(paths, evidence.Options{Progress: &bar.progress, Logs: f.logs.read()})
	bar.stop()
	if err != nil {
		return opened(paths, anyInput, err)
	}
	series, err := pick(asked.Lines, f.globs)
	if err != nil {
		return err
	}
	// All over the bundle's window, not over their own readings: a late series begins late.
	out := bufio.NewWriterSize(cli.Out, 1<<16)
	switch {
	case f.csv:
		err = report.SeriesCSV(out, series)
	case f.json:
		err = report.SeriesJSON(out, series, asked.Window)
	case len(f.globs) > 0:
		err = report.SeriesTable(out, []report.Section{{Title: strings.Join(f.globs, " "), Series: series}}, asked.Window, doc.Strip.Trigger, style(), 0, 0)
	default:
		err = f.table(out, doc, asked, series)
	}
	if ferr := out.Flush(); err == nil {
		err = ferr
	}
	if err != nil {
		return fmt.Errorf("write timeline: %w", err)
	}
	for _, l := range logs(doc) {
		cli.Say("spikebox: log: %s", l.Text())
	}
	if lost := sound(asked.Evidence); lost != nil || !doc.Requests.Short() {
		return lost
	}
	return &cli.Coded{Code: cli.Missing}
}

// logs gives those that were laid over the window.
func logs(doc *report.Document) []report.RequestLog {
	if doc.Requests == nil {
		return nil
	}
	return doc.Requests.Logs
}

// table prints what matters, and with --all the rest of what changed.
func (f *timelineFlags) table(w io.Writer, doc *report.Document, asked *check.Case, series []*timeline.Series) error {
	changed := slices.DeleteFunc(slices.Clone(series), func(s *timeline.Series) bool { return !s.Changes() })
	sections := report.Matters(doc.Findings, doc.Moved, asked.Lines)
	if found, _ := asked.Lines.Match("log.*"); len(found) > 0 { // the pattern is well formed
		sections = append(sections, report.Section{Title: "Requests, as the servers' logs have it", Series: found})
	}
	rest := report.Rest(sections, changed)
	more := 0
	// Where nothing stands out everything does.
	if f.all || len(sections) == 0 {
		sections, rest = append(sections, rest...), nil
	}
	for _, s := range rest {
		more += len(s.Series)
	}
	return report.SeriesTable(w, sections, asked.Window, doc.Strip.Trigger, style(), more, len(series)-len(changed))
}

// readTexts reads a bundle without its packets, and gives each line of its latencies to latency, which may be nil.
func readTexts(path string, latency func(*member.Latency)) (*evidence.Evidence, error) {
	e, err := evidence.Read([]string{path}, evidence.Options{NoPackets: true, Latency: latency})
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
