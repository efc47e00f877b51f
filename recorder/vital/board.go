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

// Board is all meters, opened, and the row of their values at the last tick.
type Board struct {
	meters []*running
	row    []float64
	names  map[string]int
	log    func(string)
}

// running is a meter with the variant that opened.
type running struct {
	*Meter
	variant *Variant // nil where none opened
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
			b.names[v.Name] = len(b.row)
			b.row = append(b.row, math.NaN())
		}
	}
	return b
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
// of Names.
func (b *Board) Read(now time.Time) []float64 {
	at := 0
	for _, r := range b.meters {
		out := b.row[at : at+len(r.Vitals)]
		at += len(r.Vitals)
		for i := range out {
			out[i] = math.NaN()
		}
		if r.reader == nil {
			continue
		}
		start := time.Now()
		err := r.reader.Read(now, out)
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

// Infos describes the row's columns.
func (b *Board) Infos() []format.VitalInfo {
	var infos []format.VitalInfo
	for _, r := range b.meters {
		for _, v := range r.Vitals {
			info := format.VitalInfo{Name: v.Name, Unit: v.Unit, Reason: r.reason()}
			if r.variant != nil {
				info.Source = r.variant.Name
			}
			infos = append(infos, info)
		}
	}
	return infos
}

// Sources gives each meter's state for the manifest. CPU cost is the tick's own time,
// which on an idle host is CPU time: nothing in a tick waits.
func (b *Board) Sources() []format.Source {
	var sources []format.Source
	for _, r := range b.meters {
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
		case r.failed > 0, r.refused != nil:
			s.State = format.Partial
		}
		if r.variant != nil {
			s.Variant = r.variant.Name
			if r.variant.Lack != "" {
				s.Details = map[string]string{"lack": r.variant.Lack}
			}
		}
		sources = append(sources, s)
	}
	return sources
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
