package evidence

import (
	"bytes"
	"fmt"
	"math"
	"strconv"

	"github.com/spikebox/spikebox/analyzer/column"
	"github.com/spikebox/spikebox/format"
	"github.com/spikebox/spikebox/format/kerneltext"
)

const vitalsMember = "vitals.csv"

// Vitals is vitals.csv: a row for each tick of the recorder.
type Vitals struct {
	Names []string
	Rows  []VitalsRow
}

// VitalsRow is one tick.
type VitalsRow struct {
	Time   int64     // Unix ns
	Values []float64 // by index of Names; NaN where a vital was not measured
}

// ParseVitals reads vitals.csv (SPEC.md, "vitals.csv"): a header "time,<vital>,…", then
// a row for each tick.
func ParseVitals(text []byte) (Vitals, error) {
	var v Vitals
	err := kerneltext.Lines(text, func(_ int, line []byte) error {
		fields := bytes.Split(line, []byte{','})
		if v.Names == nil {
			if string(fields[0]) != "time" {
				return fmt.Errorf("header begins with %q, want \"time\"", kerneltext.Clip(fields[0]))
			}
			v.Names = make([]string, 0, len(fields)-1)
			for _, f := range fields[1:] {
				v.Names = append(v.Names, string(f))
			}
			return nil
		}
		row, err := vitalsRow(v.Names, fields)
		if err == nil {
			v.Rows = append(v.Rows, row)
		}
		return err
	})
	return v, err
}

// vitalsRow reads one tick; a row that is too short or too long is no row, as its values
// cannot be told apart.
func vitalsRow(names []string, fields [][]byte) (VitalsRow, error) {
	row := VitalsRow{Values: make([]float64, len(names))}
	if len(fields) != len(names)+1 {
		return row, fmt.Errorf("%d columns, want %d", len(fields), len(names)+1)
	}
	var err error
	if row.Time, err = strconv.ParseInt(string(fields[0]), 10, 64); err != nil {
		return row, fmt.Errorf("time %q is not in Unix nanoseconds", kerneltext.Clip(fields[0]))
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

// readVitals adds the vitals' columns, with the units that the manifest gives.
func readVitals(text []byte, infos []format.VitalInfo, c *column.Columns) error {
	units := map[string]string{}
	for _, v := range infos {
		units[v.Name] = v.Unit
	}
	vitals, err := ParseVitals(text)
	skipped := 0
	for _, tick := range vitals.Rows {
		r, ok := c.Row(vitalsMember, tick.Time)
		if !ok {
			skipped++
			continue
		}
		for i, name := range vitals.Names {
			r.Put(column.Gauge, units[name], tick.Values[i], name)
		}
	}
	if err == nil && skipped > 0 {
		err = fmt.Errorf("%d rows out of the order of time", skipped)
	}
	return err
}
