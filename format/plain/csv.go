package plain

import (
	"encoding/csv"
	"io"
	"strconv"
	"strings"
)

// CSV writes rows that a spreadsheet takes for what they are.
type CSV struct{ out *csv.Writer }

// NewCSV gives a door to w.
func NewCSV(w io.Writer) *CSV { return &CSV{csv.NewWriter(w)} }

// Write writes a row, each field of it as a cell that is only shown. It may be buffered.
func (c *CSV) Write(row []string) error {
	safe := make([]string, len(row))
	for i, field := range row {
		safe[i] = cell(field)
	}
	return c.out.Write(safe)
}

// Flush writes what is buffered, and gives the first error of any Write.
func (c *CSV) Flush() error {
	c.out.Flush()
	return c.out.Error()
}

// formula is what a cell begins with that a spreadsheet calculates, also in full width
// (OWASP, "CSV Injection").
const formula = "=+-@＝＋－＠"

// cell gives a text as a cell that is only shown: a name such as =cmd() gets an
// apostrophe before it. Numbers stay as they are. The semicolon parts cells where the
// comma is the decimal point, whatever is quoted, so behind one it is the same.
func cell(s string) string {
	s = Line(s)
	if !strings.ContainsAny(s, formula) {
		return s
	}
	if _, err := strconv.ParseFloat(s, 64); err == nil {
		return s
	}
	var b strings.Builder
	first := true
	for _, r := range s {
		if first && strings.ContainsRune(formula, r) {
			b.WriteByte('\'')
		}
		b.WriteRune(r)
		first = r == ';' || first && (r == ' ' || r == '"') // blanks and quotes are taken off
	}
	return b.String()
}
