package member

import (
	"bytes"
	"fmt"
	"io"
	"math"
	"strconv"

	"github.com/spikebox/spikebox/format/kerneltext"
)

// VitalsName holds the measured vitals of every tick, four a second.
const VitalsName = "vitals.csv"

// Vitals is vitals.csv (SPEC.md, "vitals.csv"): a header "time,<vital>,…", then a row for
// each tick, oldest first. The manifest has the units, those of durations are seconds.
type Vitals struct {
	Names []string
	Rows  []VitalsRow
}

// VitalsRow is one tick.
type VitalsRow struct {
	// Time is the tick. A level is that of the tick, a rate that of the second of ticks
	// that ends with it.
	Time   int64
	Values []float64 // by index of Names; NaN where a vital was not measured
}

// AppendVitalsHeader appends the first line.
func AppendVitalsHeader(b []byte, names []string) []byte {
	b = append(b, "time"...)
	for _, name := range names {
		b = append(append(b, ','), name...)
	}
	return append(b, '\n')
}

// Append appends the row's line. The shortest decimal that reads back as the same number
// is written, and nothing for NaN.
func (r *VitalsRow) Append(b []byte) []byte {
	b = strconv.AppendInt(b, r.Time, 10)
	for _, v := range r.Values {
		b = append(b, ',')
		if !math.IsNaN(v) {
			b = strconv.AppendFloat(b, v, 'g', -1, 64)
		}
	}
	return append(b, '\n')
}

// ParseVitals reads vitals.csv.
func ParseVitals(text []byte) (Vitals, error) {
	var v Vitals
	names, err := EachVitals(bytes.NewReader(text), func(_ []string, row *VitalsRow) { v.Rows = append(v.Rows, *row) })
	v.Names = names
	return v, err
}

// EachVitals reads vitals.csv, a tick at a time, and gives the vitals' names; nil without a
// header.
func EachVitals(r io.Reader, f func(names []string, row *VitalsRow)) (names []string, err error) {
	err = eachLine(r, func(_ int, line []byte) error {
		fields := bytes.Split(line, []byte{','})
		if names == nil {
			names, err = vitalNames(fields)
			return err
		}
		row, err := vitalsRow(names, fields)
		if err == nil {
			f(names, &row)
		}
		return err
	})
	return names, err
}

// vitalNames reads the header.
func vitalNames(fields [][]byte) ([]string, error) {
	if string(fields[0]) != "time" {
		return nil, fmt.Errorf("header begins with %q, want \"time\"", kerneltext.Clip(fields[0]))
	}
	names := make([]string, 0, len(fields)-1) // never nil, without a vital too: the header was there
	for _, f := range fields[1:] {
		names = append(names, string(f))
	}
	return names, nil
}

// vitalsRow reads one tick; a row that is too short or too long is no row, as its values
// cannot be told apart.
func vitalsRow(names []string, fields [][]byte) (VitalsRow, error) {
	row := VitalsRow{Values: make([]float64, len(names))}
	if len(fields) != len(names)+1 {
		return row, fmt.Errorf("%d columns, want %d", len(fields), len(names)+1)
	}
	var err error
	if row.Time, err = stamp(fields[0]); err != nil {
		return row, err
	}
	for i, f := range fields[1:] {
		if row.Values[i], err = vital(f); err != nil {
			return row, fmt.Errorf("%s: %w", names[i], err)
		}
	}
	return row, nil
}

// vital reads a value; an empty field was not measured.
func vital(field []byte) (float64, error) {
	if len(field) == 0 {
		return math.NaN(), nil
	}
	v, err := strconv.ParseFloat(string(field), 64)
	if err != nil || math.IsInf(v, 0) {
		return 0, fmt.Errorf("%q is not a number", kerneltext.Clip(field))
	}
	return v, nil
}

// EachTick reads only the times of vitals.csv.
func EachTick(r io.Reader, f func(time int64)) error {
	return eachLine(r, func(n int, line []byte) error {
		first, _, _ := bytes.Cut(line, []byte{','})
		if n == 1 { // the header
			return nil
		}
		at, err := stamp(first)
		if err == nil {
			f(at)
		}
		return err
	})
}
