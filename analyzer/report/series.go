package report

import (
	"encoding/json"
	"fmt"
	"io"
	"math"
	"strconv"
	"strings"

	"github.com/spikebox/spikebox/analyzer/evidence"
	"github.com/spikebox/spikebox/analyzer/internal/words"
	"github.com/spikebox/spikebox/analyzer/timeline"
	"github.com/spikebox/spikebox/format/plain"
	"github.com/spikebox/spikebox/format/unit"
)

// SeriesCSV prints long rows: series of several sources have no times in common.
func SeriesCSV(w io.Writer, series []*timeline.Series) error {
	out := plain.NewCSV(w)
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
	return out.Flush() // gives the first error of any Write
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

// SeriesJSON prints an object a line, in the agreed form.
func SeriesJSON(w io.Writer, series []*timeline.Series, window timeline.Span) error {
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
			if !math.IsNaN(v) { // JSON has no NaN (RFC 8259 §6)
				line.V[i] = &v
			}
		}
		if err := enc.Encode(line); err != nil {
			return err
		}
	}
	return nil
}

// SeriesTable draws each series as a line of blocks between its smallest and largest
// value, all over the same window, so that they can be compared. What did not change is
// left out and counted, unless it was asked for.
func SeriesTable(w io.Writer, series []*timeline.Series, window timeline.Span, style Style, asked bool) error {
	const row = "%-*s %10s %10s %-6s %s\n"
	name := 0
	var shown []*timeline.Series
	for _, s := range series {
		if asked || moves(s.Rates()) {
			shown = append(shown, s)
			name = max(name, runes(plain.Line(s.Name)))
		}
	}
	// 30 columns are the numbers, the unit and the blanks; beyond 48 nothing more can be seen.
	cells := min(max(style.Width-name-30, 8), 48)
	if _, err := fmt.Fprintf(w, row, name, "SERIES", "LEAST", "MOST", "UNIT", "OVER TIME"); err != nil {
		return err
	}
	for _, s := range shown {
		rates := s.Rates()
		least, most, ok := extent(rates)
		if !ok {
			continue
		}
		if _, err := fmt.Fprintf(w, row, name, plain.Line(s.Name), unit.Figure(least), unit.Figure(most), plain.Line(s.RateUnit()), spark(window, s.T, rates, cells)); err != nil {
			return err
		}
	}
	_, err := fmt.Fprintf(w, "\nEach line runs from %s to %s UTC.", words.Clock(evidence.Unix(window.Start)), words.Clock(evidence.Unix(window.End)))
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
		// The largest and not the mean, which would flatten the spike that is looked for.
		if line[cell] == ' ' || height > heights[cell] {
			heights[cell] = height
			line[cell] = blocks[min(int(height*float64(len(blocks))), len(blocks)-1)]
		}
	}
	return strings.TrimRight(string(line), " ")
}
