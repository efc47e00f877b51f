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
	env     Env
	log     func(string)
	again   time.Time // when variants that did not open are tried again
}

// againEvery is how often what did not open is tried again: a module that is loaded, or a
// table that is made, while the recorder is armed is measured within half a minute. It costs
// an open(2) or two a meter. Probes are not: what they are refused for (the kernel's version
// and options, our privileges) stays, and to load them takes some 100 ms.
const againEvery = 30 * time.Second

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
	cost    time.Duration // of the ticks, as the wall clock has it
	since   time.Time     // when the variant opened that did not at first; zero: at once
}

// Open opens the best variant of every meter. What cannot be measured is logged once,
// stays NaN in every row, and is said in Sources.
func Open(env Env, log func(string)) *Board {
	b := &Board{names: map[string]int{}, env: env, log: log, again: time.Now().Add(againEvery)}
	for _, m := range Meters {
		r := &running{Meter: m}
		r.open(env)
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

// open opens the best variant that can be.
func (r *running) open(env Env) {
	var refused []error
	for i := range r.Variants {
		v := &r.Variants[i]
		reader, err := v.Open(env)
		if err == nil {
			r.variant, r.reader = v, reader
			break
		}
		refused = append(refused, err)
	}
	r.refused = errors.Join(refused...)
}

// late is the best variant that did not open and may yet; nil where there is none.
func (r *running) late() *Variant {
	for i := range r.Variants {
		v := &r.Variants[i]
		if v == r.variant {
			break
		}
		if v.Late {
			return v
		}
	}
	return nil
}

func (r *running) refusal() string {
	said := fmt.Sprintf("vitals of %s cannot be measured: %s", r.ID, oneLine(r.refused))
	if r.variant != nil {
		said = fmt.Sprintf("vitals of %s come from %s (%s): %s", r.ID, r.variant.Name, r.variant.Lack, oneLine(r.refused))
	}
	if r.late() != nil {
		said += fmt.Sprintf("; tried again every %v", againEvery)
	}
	return said
}

// retry tries again what did not open.
func (b *Board) retry(now time.Time) {
	if now.Before(b.again) {
		return
	}
	b.again = now.Add(againEvery)
	for _, r := range b.meters {
		v := r.late()
		if v == nil {
			continue
		}
		reader, err := v.Open(b.env)
		if err != nil {
			continue
		}
		if r.reader != nil {
			r.reader.Close()
		}
		r.variant, r.reader, r.since = v, reader, now
		// Beside a better one that was refused it is still the lesser, and says why.
		if v == &r.Variants[0] {
			r.refused = nil
		}
		b.log(fmt.Sprintf("vitals of %s are measured from now on, from %s", r.ID, v.Name))
	}
}

// Read measures every vital. The row is valid until the next Read; its order is that
// of Columns and Infos.
func (b *Board) Read(now time.Time) []float64 {
	b.retry(now)
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
	Late   bool    // what is missing is tried again while armed
	Value  float64 // NaN where it was not measured
}

// Columns gives every vital, in the order of the row.
func (b *Board) Columns() []Column {
	columns := make([]Column, len(b.columns))
	for i, c := range b.columns {
		columns[i] = Column{Vital: c.vital, Reason: c.meter.reason(), Late: c.meter.late() != nil, Value: b.row[i]}
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

// Sources gives each meter's state for the manifest, and says when what did not open is
// tried again; start is the window's.
func (b *Board) Sources(start time.Time) (sources []format.Source) {
	for i, s := range b.States(start) {
		if b.meters[i].late() != nil {
			s.Source.Reason += fmt.Sprintf("; tried again every %v, next at %s UTC", againEvery, b.again.UTC().Format(time.TimeOnly))
		}
		sources = append(sources, s.Source)
	}
	return sources
}

// MeterState is a meter and what it gives here.
type MeterState struct {
	*Meter
	Source format.Source
}

// States gives the state of every meter over a window.
func (b *Board) States(start time.Time) (states []MeterState) {
	for _, r := range b.meters {
		states = append(states, MeterState{r.Meter, r.source(start)})
	}
	return states
}

// source is the meter's state for the manifest.
func (r *running) source(start time.Time) format.Source {
	s := format.Source{
		Name: "vitals." + r.ID, State: format.Complete, Reason: r.reason(),
		Members: []string{member.VitalsName}, Lost: r.failed, WallNs: int64(r.cost),
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
	case r.since.After(start):
		s.State = format.Partial
		s.Reason = fmt.Sprintf("measured by %s only since %v after the window's begin: it was not there before",
			r.variant.Name, r.since.Sub(start).Round(time.Millisecond))
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
