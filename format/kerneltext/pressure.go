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
// total=15" (kernel/sched/psi.c, psi_show, since Linux 4.20; irq since 6.1). It calls row with each line
// and does not allocate.
func ParsePressure(text []byte, row func(PressureRow)) error {
	return Lines(text, func(_ int, line []byte) error {
		kind, rest := word(line)
		var p PressureRow
		switch string(kind) {
		case "some":
			p.Kind = "some"
		case "full":
			p.Kind = "full"
		default:
			return fmt.Errorf("want some or full, not %q", Clip(kind))
		}
		for {
			var field []byte
			if field, rest = word(rest); len(field) == 0 {
				break
			}
			if err := p.set(field); err != nil {
				return err
			}
		}
		row(p)
		return nil
	})
}

// set takes one "name=value"; averages are in percent with two digits.
func (p *PressureRow) set(field []byte) error {
	name, value, _ := bytes.Cut(field, []byte{'='})
	var to *float64
	switch string(name) {
	case "avg10":
		to = &p.Avg10
	case "avg60":
		to = &p.Avg60
	case "avg300":
		to = &p.Avg300
	case "total":
		v, err := Counter(value)
		p.TotalUs = v
		return err
	default:
		return nil // what a later kernel adds
	}
	v, err := strconv.ParseFloat(string(value), 64)
	if err != nil || !(v >= 0 && v <= 100) {
		return fmt.Errorf("%q is not a percentage", Clip(value))
	}
	*to = v / 100
	return nil
}
