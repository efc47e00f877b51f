package report

import (
	"encoding/json"
	"fmt"
	"io"
	"math"
	"strconv"
	"strings"

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

// table sets series as lines of blocks over one window.
type table struct {
	style   Style
	window  timeline.Span
	trigger int64 // Unix ns, 0 without
	scales  map[string][2]float64
	name    int // widths
	cells   int
}

// The widest name that does not push the numbers aside, and what numbers and blanks take.
const (
	widestName = 36
	ofNumbers  = 2 + 2*numberWidth + 3
	// numberWidth holds 1,023.9 KiB/s.
	numberWidth = 12
)

// newTable lays the table out for its widest name.
func newTable(series []*timeline.Series, window timeline.Span, trigger int64, style Style) *table {
	t := &table{style: style, window: window, trigger: trigger, scales: scales(series)}
	for _, s := range series {
		t.name = max(t.name, min(runes(plain.Line(s.Name)), widestName))
	}
	// Beyond 96 nothing more can be seen.
	t.cells = min(max(style.Width-t.name-ofNumbers, 8), 96)
	return t
}

// width is how wide its lines are, but for names that are longer than the widest.
func (t *table) width() int { return t.name + ofNumbers + t.cells }

// row sets one series: its name, its smallest and largest value, and its course on the scale of its family.
func (t *table) row(s *timeline.Series) string {
	rates := s.Rates()
	least, most, ok := timeline.Extent(rates)
	if !ok {
		return ""
	}
	scale := t.scales[scaleOf(s)]
	return fmt.Sprintf("  %-*s %*s %*s %s", t.name, plain.Line(s.Name), numberWidth, human(least, s.RateUnit()), numberWidth, human(most, s.RateUnit()),
		spark(t.window, s.T, rates, scale, t.cells, t.style.levels()))
}

// head sets the names of the columns, and a mark above the trigger's cell.
func (t *table) head() string {
	mark := ""
	if at := t.cell(t.trigger); t.trigger > 0 {
		mark = strings.Repeat(" ", at) + t.style.mark() + " trigger"
		if name := " trigger"; at+1+len(name) > t.cells {
			mark = strings.Repeat(" ", max(0, at-len(name))) + "trigger " + t.style.mark()
		}
	}
	return fmt.Sprintf("  %-*s %*s %*s %s", t.name, "", numberWidth, "LEAST", numberWidth, "MOST", mark)
}

// cell is where a time stands.
func (t *table) cell(at int64) int { return cellOf(t.window, at, t.cells) }

// cellOf gives the place of a time; one just outside of the window has the nearest.
func cellOf(window timeline.Span, at int64, cells int) int {
	span := float64(max(window.End-window.Start, 1))
	return max(0, min(int(float64(at-window.Start)/span*float64(cells)), cells-1))
}

// human writes a value with its unit.
func human(v float64, u string) string {
	switch u {
	case unit.Bytes:
		return unit.Size(int64(v))
	case unit.Bytes + "/s":
		return unit.Size(int64(v)) + "/s"
	}
	return unit.Prose(v, u)
}

// SeriesTable draws sections of series, each as a line of blocks, all over the same window, so that they can be compared. more is how
// many others changed, same how many did not.
func SeriesTable(w io.Writer, sections []Section, window timeline.Span, trigger int64, style Style, more, same int) error {
	p := &page{w: plain.NewWriter(w), Style: style}
	var all []*timeline.Series
	for _, s := range sections {
		all = append(all, s.Series...)
	}
	t := newTable(all, window, trigger, style)
	if len(all) > 0 {
		p.line(normal(t.head()))
	}
	for _, s := range sections {
		p.line(plain.Span{Style: plain.Bold, Text: plain.Line(s.Title)})
		for _, series := range s.Series {
			p.line(normal(t.row(series)))
		}
	}
	p.line()
	about := "Each line runs from " + clocks(window) + "."
	if shares(all) > 0 {
		about += " Quantiles of one time, the CPUs of one number, and what became of SYNs share a scale."
	}
	if more > 0 {
		about += fmt.Sprintf(" %s changed: --all has %s.", words.Plural(more, "other series", "other series"), map[bool]string{true: "it", false: "them"}[more == 1])
	}
	if same > 0 {
		about += fmt.Sprintf(" %d more did not change.", same)
	}
	p.paragraph("", plain.Normal, about)
	return p.err
}

// levels are eighths of a line's height (Unicode block elements), or what comes near them in ASCII.
func (s Style) levels() []rune {
	if s.ASCII {
		return []rune("_.,-=+*#")
	}
	return []rune("▁▂▃▄▅▆▇█")
}

// mark points down, at the trigger.
func (s Style) mark() string {
	if s.ASCII {
		return "v"
	}
	return "▼"
}

// spark draws the largest value of each stretch of the window, between the least and the most of a scale. A reading stands for the time
// since the one before it, unless nothing was read then; a stretch in which nothing was read is blank. A reading just outside the window, as a snapshot's may be, counts
// for the nearest stretch.
func spark(window timeline.Span, t []int64, v []float64, scale [2]float64, cells int, levels []rune) string {
	line := []rune(strings.Repeat(" ", cells))
	heights := make([]float64, cells)
	longest := timeline.Patience(t)
	for i, x := range v {
		if math.IsNaN(x) {
			continue
		}
		height := 0.0
		if scale[1] > scale[0] {
			height = (x - scale[0]) / (scale[1] - scale[0])
		}
		last := cellOf(window, t[i], cells)
		first := last
		if i > 0 && !math.IsNaN(v[i-1]) && t[i]-t[i-1] <= longest {
			first = min(last, cellOf(window, t[i-1], cells)+1)
		}
		for cell := first; cell <= last; cell++ {
			// The largest and not the mean, which would flatten the spike that is looked for.
			if line[cell] == ' ' || height > heights[cell] {
				heights[cell] = height
				line[cell] = levels[level(height, len(levels))]
			}
		}
	}
	return strings.TrimRight(string(line), " ")
}

// level gives the index of a height in 0..1 among so many: the lowest is for the least alone, so that little is told from nothing.
func level(height float64, levels int) int {
	if height == 0 {
		return 0
	}
	return max(1, min(int(height*float64(levels)), levels-1))
}
