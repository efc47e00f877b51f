//go:build linux

package vital

import (
	"errors"
	"fmt"
	"math"
	"time"

	"github.com/spikebox/spikebox/format"
	"github.com/spikebox/spikebox/format/member"
)

// Board is all meters, opened, and the row of their values at the last tick. Which value
// of the row is which vital is said once, in Open.
type Board struct {
	meters  []*running
	columns []column  // of the row, in the order of vitals.csv
	row     []float64 // a value for each column
	names   map[string]int
	log     func(string)
}

// column is one vital and the meter that measures it.
type column struct {
	vital Vital
	meter *running
}

// running is a meter with the variant that opened.
type running struct {
	*Meter
	out     []float64 // the meter's part of the row
	variant *Variant  // nil where none opened
	reader  Reader
	refused error // why a better variant, or all, did not open
	failing error // what the last Read said, nil where it was well
	failed  uint64
	ticks   uint64
	cost    time.Duration
}

// Open opens the best variant of every meter. What cannot be measured is logged once,
// stays NaN in every row, and is said in Sources.
func Open(env Env, log func(string)) *Board {
	b := &Board{names: map[string]int{}, log: log}
	for _, m := range Meters {
		r := open(m, env)
		if r.refused != nil {
			log(r.refusal())
		}
		b.meters = append(b.meters, r)
		for _, v := range m.Vitals {
			b.names[v.Name] = len(b.columns)
			b.columns = append(b.columns, column{v, r})
		}
	}
	// After all columns are known: a row that grew by append would leave the first meters with
	// a part of an array that is no longer the row.
	b.row = make([]float64, len(b.columns))
	rest := b.row
	for _, r := range b.meters {
		r.out, rest = rest[:len(r.Vitals)], rest[len(r.Vitals):]
		r.unmeasured()
	}
	return b
}

// unmeasured marks the meter's vitals as such.
func (r *running) unmeasured() {
	for i := range r.out {
		r.out[i] = math.NaN()
	}
}

func open(m *Meter, env Env) *running {
	r := &running{Meter: m}
	var refused []error
	for i := range m.Variants {
		v := &m.Variants[i]
		reader, err := v.Open(env)
		if err == nil {
			r.variant, r.reader = v, reader
			break
		}
		refused = append(refused, err)
	}
	r.refused = errors.Join(refused...)
	return r
}

func (r *running) refusal() string {
	if r.variant == nil {
		return fmt.Sprintf("vitals of %s cannot be measured: %s", r.ID, oneLine(r.refused))
	}
	return fmt.Sprintf("vitals of %s come from %s (%s): %s", r.ID, r.variant.Name, r.variant.Lack, oneLine(r.refused))
}

// Read measures every vital. The row is valid until the next Read; its order is that
// of Columns and Infos.
func (b *Board) Read(now time.Time) []float64 {
	for _, r := range b.meters {
		r.unmeasured() // a reader that fails leaves no value of the tick before
		if r.reader == nil {
			continue
		}
		start := time.Now()
		err := r.reader.Read(now, r.out)
		r.cost += time.Since(start)
		r.ticks++
		b.note(r, err)
	}
	return b.row
}

// note keeps a reader's failure and says it once, not at every tick.
func (b *Board) note(r *running, err error) {
	if err != nil {
		r.failed++
		if r.failing == nil {
			b.log(fmt.Sprintf("vitals of %s: %v", r.ID, err))
		}
	} else if r.failing != nil {
		b.log(fmt.Sprintf("vitals of %s are measured again", r.ID))
	}
	r.failing = err
}

// Value gives a vital of the last row, NaN where it was not measured or is unknown.
func (b *Board) Value(name string) float64 {
	if i, ok := b.names[name]; ok {
		return b.row[i]
	}
	return math.NaN()
}

// Column is one vital, what measures it here, and its value at the last Read.
type Column struct {
	Vital
	Source string  // the variant; empty where none opened
	Reason string  // why it is less than the best, or not there
	Value  float64 // NaN where it was not measured
}

// Columns gives every vital, in the order of the row.
func (b *Board) Columns() []Column {
	columns := make([]Column, len(b.columns))
	for i, c := range b.columns {
		columns[i] = Column{Vital: c.vital, Reason: c.meter.reason(), Value: b.row[i]}
		if c.meter.variant != nil {
			columns[i].Source = c.meter.variant.Name
		}
	}
	return columns
}

// Infos describes the row's columns for the manifest.
func (b *Board) Infos() []format.VitalInfo {
	var infos []format.VitalInfo
	for _, c := range b.Columns() {
		infos = append(infos, format.VitalInfo{Name: c.Name, Unit: c.Unit, Source: c.Source, Reason: c.Reason})
	}
	return infos
}

// Sources gives each meter's state for the manifest.
func (b *Board) Sources() (sources []format.Source) {
	for _, s := range b.States() {
		sources = append(sources, s.Source)
	}
	return sources
}

// MeterState is a meter and what it gives here.
type MeterState struct {
	*Meter
	Source format.Source
}

// States gives the state of every meter.
func (b *Board) States() (states []MeterState) {
	for _, r := range b.meters {
		states = append(states, MeterState{r.Meter, r.source()})
	}
	return states
}

// source is the meter's state for the manifest. CPU cost is the tick's own time, which on
// an idle host is CPU time: nothing in a tick waits.
func (r *running) source() format.Source {
	s := format.Source{
		Name: "vitals." + r.ID, State: format.Complete, Reason: r.reason(),
		Members: []string{member.VitalsName}, Lost: r.failed, CPUNs: int64(r.cost),
	}
	if r.failed > 0 {
		s.Unit = "ticks"
	}
	switch {
	case r.variant == nil:
		s.State, s.Members = format.Unsupported, nil
	case r.failed > 0 && r.failed == r.ticks:
		s.State = format.Failed
	case r.failed > 0, r.refused != nil: // a lesser variant is never the whole
		s.State = format.Partial
	}
	if r.variant != nil {
		s.Variant = r.variant.Name
		if r.variant.Lack != "" {
			s.Details = map[string]string{"lack": r.variant.Lack}
		}
	}
	return s
}

// reason says why a meter gives less than its best; what that costs is its variant's Lack.
func (r *running) reason() string {
	switch {
	case r.failing != nil:
		return r.failing.Error()
	case r.refused != nil:
		return oneLine(r.refused)
	}
	return ""
}

// Close closes every reader.
func (b *Board) Close() error {
	var errs []error
	for _, r := range b.meters {
		if r.reader != nil {
			errs = append(errs, r.reader.Close())
		}
	}
	return errors.Join(errs...)
}
