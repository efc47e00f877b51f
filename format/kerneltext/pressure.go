package kerneltext

import (
	"bytes"
	"fmt"
	"strconv"
)

// PressureRow is one line of a pressure stall text.
type PressureRow struct {
	Kind                 string  // some: at least one task waited; full: all of them did
	Avg10, Avg60, Avg300 float64 // share of time, 0..1
	TotalUs              uint64  // since boot
}

// ParsePressure reads /proc/pressure/*: "some avg10=0.10 avg60=2.00 avg300=3.85
// total=15" (kernel/sched/psi.c, psi_show, since Linux 4.20; irq since 6.1).
func ParsePressure(text []byte) ([]PressureRow, error) {
	var rows []PressureRow
	err := Lines(text, func(_ int, line []byte) error {
		fields := bytes.Fields(line)
		row := PressureRow{Kind: string(fields[0])}
		if row.Kind != "some" && row.Kind != "full" {
			return fmt.Errorf("want some or full, not %q", Clip(fields[0]))
		}
		for _, f := range fields[1:] {
			if err := row.set(f); err != nil {
				return err
			}
		}
		rows = append(rows, row)
		return nil
	})
	return rows, err
}

// set takes one "name=value"; averages are in percent with two digits.
func (p *PressureRow) set(field []byte) error {
	name, value, _ := bytes.Cut(field, []byte{'='})
	to := map[string]*float64{"avg10": &p.Avg10, "avg60": &p.Avg60, "avg300": &p.Avg300}[string(name)]
	if to == nil && string(name) != "total" {
		return nil // what a later kernel adds
	}
	if to == nil {
		v, err := Counter(value)
		p.TotalUs = v
		return err
	}
	v, err := strconv.ParseFloat(string(value), 64)
	if err != nil || !(v >= 0 && v <= 100) {
		return fmt.Errorf("%q is not a percentage", Clip(value))
	}
	*to = v / 100
	return nil
}
