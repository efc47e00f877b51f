package member

import (
	"bytes"
	"fmt"
	"strconv"

	"github.com/spikebox/spikebox/format/kerneltext"
)

// ClocksName holds what the kernel's clocks said in the window.
const ClocksName = "clocks.csv"

// ClocksHeader is its first line, and so its columns (SPEC.md, "clocks.csv").
const ClocksHeader = "time,realtime,monotonic,boottime,raw,reason\n"

// The reasons for which a reading is told.
const (
	ClockStep    = "step"    // the wall clock was set
	ClockSuspend = "suspend" // the machine slept
	ClockSlew    = "slew"    // one clock ran faster than another for a while
)

// Clocks is one simultaneous reading of the kernel's clocks: a line of clocks.csv.
type Clocks struct {
	Time      int64 // of the reading, on the bundle's clock
	Line      int   // in clocks.csv, counted from 1
	Realtime  int64 // CLOCK_REALTIME as it stood then, and the other clocks in ns
	Monotonic int64
	Boottime  int64
	Raw       int64  // CLOCK_MONOTONIC_RAW, which nothing slews
	Reason    string // ClockStep, ClockSuspend, ClockSlew, or empty
}

// Append appends the reading's line.
func (c *Clocks) Append(b []byte) []byte {
	b = strconv.AppendInt(b, c.Time, 10)
	for _, v := range [...]int64{c.Realtime, c.Monotonic, c.Boottime, c.Raw} {
		b = strconv.AppendInt(append(b, ','), v, 10)
	}
	return append(append(append(b, ','), c.Reason...), '\n')
}

// ParseClocks reads clocks.csv.
func ParseClocks(text []byte) ([]Clocks, error) {
	var all []Clocks
	err := kerneltext.Lines(text, func(n int, line []byte) error {
		if n == 1 {
			return nil
		}
		fields := bytes.Split(line, []byte{','})
		if len(fields) < 6 { // later recorders may add columns (SPEC.md, "Versions")
			return fmt.Errorf("%d columns, want 6", len(fields))
		}
		// A reason that a later writer has is kept as it is: the numbers say what happened.
		c := Clocks{Line: n, Reason: string(fields[5])}
		for i, to := range []*int64{&c.Time, &c.Realtime, &c.Monotonic, &c.Boottime, &c.Raw} {
			var err error
			if *to, err = stamp(fields[i]); err != nil {
				return err
			}
		}
		all = append(all, c)
		return nil
	})
	return all, err
}
