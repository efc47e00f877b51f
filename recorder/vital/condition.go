//go:build linux

package vital

import (
	"fmt"
	"strings"
	"time"

	"github.com/spikebox/spikebox/format"
	"github.com/spikebox/spikebox/format/member"
	"github.com/spikebox/spikebox/recorder/ring"
)

// Column is one vital, what measures it here, and its value at the last Read.
type Column struct {
	Vital
	Source string  // the variant; empty where none opened
	Reason string  // why it is less than the best, or not there
	Late   bool    // what is missing is tried again while armed
	Shed   bool    // it is not measured, for Reason, though it could be
	Value  float64 // NaN where it was not measured
}

// Columns gives every vital, in the order of the row.
func (b *Board) Columns() []Column {
	columns := make([]Column, len(b.columns))
	for i, c := range b.columns {
		columns[i] = Column{Vital: c.vital, Reason: c.meter.reason(format.Silence{}), Late: c.meter.late() != nil, Value: b.row[i]}
		if c.meter.variant != nil {
			columns[i].Source = c.meter.variant.Name
		}
		if c.meter.shed != "" {
			columns[i].Shed, columns[i].Reason = true, c.meter.shed
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

// Sources gives each meter's state for the manifest, with what is missing of a window, and
// says when what did not open is tried again.
func (b *Board) Sources(start, end time.Time) (sources []format.Source) {
	for _, r := range b.meters {
		s := r.source(start, r.gaps.Within(start, end))
		if d, ok := r.reader.(dumps); ok && !r.thing.Hung() {
			if s.Details == nil {
				s.Details = map[string]string{}
			}
			s.Details["dump_took"] = d.dumped().took.String()
			s.Details["dump_began_before_end"] = end.Sub(d.dumped().began).String()
		}
		if r.late() != nil {
			s.Reason += fmt.Sprintf("; tried again every %v, next at %s UTC", againEvery, b.again.UTC().Format(time.TimeOnly))
		}
		sources = append(sources, s)
	}
	return sources
}

// MeterState is a meter and what it gives here.
type MeterState struct {
	*Meter
	Source format.Source
}

// States gives the state of every meter as it is.
func (b *Board) States() (states []MeterState) {
	for _, r := range b.meters {
		states = append(states, MeterState{r.Meter, r.source(r.since, format.Silence{})})
	}
	return states
}

// source is the meter's state for the manifest, over a window that begins at start.
func (r *running) source(start time.Time, missing format.Silence) format.Source {
	if r.variant == nil && r.failing == nil {
		missing = format.Silence{} // nothing was to be read
	}
	s := format.Source{
		Name: "vitals." + r.ID, State: format.Complete, Reason: r.reason(missing),
		Members: []string{member.VitalsName}, WallNs: int64(r.cost),
		Silence: missing, Lost: r.failed + uint64(missing.Total*ring.TicksPerSecond/time.Second),
	}
	if s.Lost > 0 {
		s.Unit = "ticks"
	}
	switch {
	case r.variant == nil && r.failing == nil:
		s.State, s.Members = format.Unsupported, nil
	case r.variant == nil, r.failed > 0 && r.failed == r.ticks:
		s.State = format.Failed
	case s.Lost > 0, r.failing != nil, r.refused != nil: // a lesser variant is never the whole
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
func (r *running) reason(missing format.Silence) string {
	var why []string
	if r.failing != nil {
		why = append(why, r.failing.Error())
	}
	if missing.Gaps > 0 {
		why = append(why, missing.String())
	}
	if len(why) == 0 && r.refused != nil {
		why = append(why, oneLine(r.refused))
	}
	return strings.Join(why, "; ")
}
