package main

import (
	"bufio"
	"context"
	"encoding/csv"
	"encoding/json"
	"fmt"
	"io"
	"math"
	"os"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/spf13/pflag"

	"github.com/spikebox/spikebox/analyzer/evidence"
	"github.com/spikebox/spikebox/analyzer/report"
	"github.com/spikebox/spikebox/analyzer/timeline"
	"github.com/spikebox/spikebox/cmd/internal/cli"
)

var timelines = &cli.Command{
	Name: "timeline",
	Args: "BUNDLE [--series GLOB] [--csv|--json]",
	Doc:  "print the numbers over time: vitals, kernel counters as rates",
	Long: `Without --series it lists every number that changed within the window. Counters are
printed as rates per second; what was not read is a gap: empty in CSV, null in JSON.
--csv prints series,unit,source,time,value; --json one object for each series, with
times in Unix nanoseconds.`,
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
		case len(args) != 1:
			return cli.Usagef("timeline takes one bundle, not %d", len(args))
		case f.csv && f.json:
			return cli.Usagef("--csv and --json exclude each other")
		}
		return runTimeline(args[0], f)
	}
}

// runTimeline prints series in the order of their names, or of the patterns.
func runTimeline(path string, f timelineFlags) error {
	e, err := readTexts(path)
	if err != nil {
		return err
	}
	series, err := pick(timeline.Build(&e.Columns), f.globs)
	if err != nil {
		return err
	}
	start, end := e.Window()
	window := timeline.Span{Start: start, End: end}
	out := bufio.NewWriterSize(os.Stdout, 1<<16)
	switch {
	case f.csv:
		err = seriesCSV(out, series)
	case f.json:
		err = seriesJSON(out, series, window)
	default:
		err = seriesTable(out, series, window, len(f.globs) > 0)
	}
	if ferr := out.Flush(); err == nil {
		err = ferr
	}
	if err != nil {
		return fmt.Errorf("write timeline: %w", err)
	}
	return damaged(e.Damage)
}

// readTexts reads a bundle without its packets.
func readTexts(path string) (*evidence.Evidence, error) {
	e, err := evidence.Read([]string{path}, evidence.Options{NoPackets: true})
	if err != nil {
		return nil, opened(err)
	}
	if e.Manifest == nil {
		return nil, &cli.Coded{Code: cli.Failed, Err: fmt.Errorf("%s is a capture", path), Hint: "numbers over time are in bundles only"}
	}
	for _, p := range e.Partial.List {
		fmt.Fprintf(os.Stderr, "spikebox: partial: %v\n", p)
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
		if len(found) == 0 {
			return nil, &cli.Coded{Code: cli.Failed, Err: fmt.Errorf("no series %q in the bundle", glob), Hint: "spikebox timeline BUNDLE lists those that changed"}
		}
		for _, s := range found {
			if !slices.Contains(picked, s) {
				picked = append(picked, s)
			}
		}
	}
	return picked, nil
}

// seriesCSV prints long rows: series of several sources have no times in common.
func seriesCSV(w io.Writer, series []*timeline.Series) error {
	out := csv.NewWriter(w) // an interface's name may well hold a comma
	_ = out.Write([]string{"series", "unit", "source", "time", "value"})
	for _, s := range series {
		for i, v := range s.Rates() {
			value := ""
			if !math.IsNaN(v) {
				value = strconv.FormatFloat(v, 'g', -1, 64)
			}
			_ = out.Write([]string{s.Name, s.RateUnit(), s.Source, strconv.FormatInt(s.T[i], 10), value})
		}
	}
	out.Flush()
	return out.Error() // the first of any Write
}

// seriesLine is one line of `timeline --json`; values that were not read are null.
type seriesLine struct {
	Series string     `json:"series"`
	Unit   string     `json:"unit"`
	Source string     `json:"source"`
	T      []int64    `json:"t"`
	V      []*float64 `json:"v"`
	Gaps   [][2]int64 `json:"gaps"`   // from, to: the source was not read within the window
	Resets int        `json:"resets"` // of a counter
}

// seriesJSON prints an object a line, in the agreed form.
func seriesJSON(w io.Writer, series []*timeline.Series, window timeline.Span) error {
	enc := json.NewEncoder(w)
	for _, s := range series {
		line := seriesLine{
			Series: s.Name, Unit: s.RateUnit(), Source: s.Source, T: s.T,
			V: make([]*float64, len(s.V)), Gaps: [][2]int64{}, Resets: s.Resets,
		}
		for _, g := range s.Gaps(window) {
			line.Gaps = append(line.Gaps, [2]int64{g.Start, g.End})
		}
		for i, v := range s.Rates() {
			if !math.IsNaN(v) {
				line.V[i] = &v
			}
		}
		if err := enc.Encode(line); err != nil {
			return err
		}
	}
	return nil
}

// seriesTable draws each series as a line of blocks between its smallest and largest
// value, all over the same window, so that they can be compared. What did not change is
// left out and counted, unless it was asked for.
func seriesTable(w io.Writer, series []*timeline.Series, window timeline.Span, asked bool) error {
	const row = "%-*s %10s %10s %-6s %s\n"
	name := 0
	var shown []*timeline.Series
	for _, s := range series {
		if asked || moves(s.Rates()) {
			shown = append(shown, s)
			name = max(name, utf8.RuneCountInString(s.Name))
		}
	}
	cells := min(max(style().Width-name-30, 8), 48)
	if _, err := fmt.Fprintf(w, row, name, "SERIES", "LEAST", "MOST", "UNIT", "OVER TIME"); err != nil {
		return err
	}
	for _, s := range shown {
		rates := s.Rates()
		least, most, ok := extent(rates)
		if !ok {
			continue
		}
		if _, err := fmt.Fprintf(w, row, name, report.Plain(s.Name), figure(least), figure(most), report.Plain(s.RateUnit()), spark(window, s.T, rates, cells)); err != nil {
			return err
		}
	}
	_, err := fmt.Fprintf(w, "\nEach line runs from %s to %s UTC.", evidence.Unix(window.Start).Format("15:04:05.000"), evidence.Unix(window.End).Format("15:04:05.000"))
	if flat := len(series) - len(shown); flat > 0 && err == nil {
		_, err = fmt.Fprintf(w, " %d more did not change.", flat)
	}
	fmt.Fprintln(w)
	return err
}

// moves says whether a series is worth a line in the list.
func moves(v []float64) bool {
	least, most, ok := extent(v)
	return ok && least != most
}

// extent gives the smallest and the largest value, ok being false without any.
func extent(v []float64) (least, most float64, ok bool) {
	for _, x := range v {
		if math.IsNaN(x) {
			continue
		}
		if !ok {
			least, most, ok = x, x, true
		}
		least, most = min(least, x), max(most, x)
	}
	return least, most, ok
}

// figure writes a number in at most ten characters.
func figure(v float64) string {
	if v == math.Trunc(v) && math.Abs(v) < 1e9 {
		return strconv.FormatInt(int64(v), 10)
	}
	return strconv.FormatFloat(v, 'g', 4, 64)
}

// blocks are eighths of a line's height (Unicode block elements).
var blocks = []rune("▁▂▃▄▅▆▇█")

// spark draws the largest value of each stretch of the window; a stretch without one is
// blank. A reading just outside it, as a snapshot's may be, counts for the nearest stretch.
func spark(window timeline.Span, t []int64, v []float64, cells int) string {
	least, most, _ := extent(v)
	line := []rune(strings.Repeat(" ", cells))
	heights := make([]float64, cells)
	span := float64(max(window.End-window.Start, 1))
	for i, x := range v {
		if math.IsNaN(x) {
			continue
		}
		cell := max(0, min(int(float64(t[i]-window.Start)/span*float64(cells)), cells-1))
		height := 0.0
		if most > least {
			height = (x - least) / (most - least)
		}
		if line[cell] == ' ' || height > heights[cell] {
			heights[cell] = height
			line[cell] = blocks[min(int(height*float64(len(blocks))), len(blocks)-1)]
		}
	}
	return strings.TrimRight(string(line), " ")
}
