//go:build linux

package freeze

import (
	"fmt"
	"strings"
	"time"

	"github.com/spikebox/spikebox/format"
	"github.com/spikebox/spikebox/format/member"
	"github.com/spikebox/spikebox/recorder/host"
	"github.com/spikebox/spikebox/recorder/ring"
	"github.com/spikebox/spikebox/recorder/vital"
)

// vitalsCSV renders the window's ticks.
func vitalsCSV(rows *ring.Rows, infos []format.VitalInfo, start time.Time, clock host.Moment) []byte {
	names := make([]string, len(infos))
	for i, info := range infos {
		names[i] = info.Name
	}
	out := member.AppendVitalsHeader(nil, names)
	rows.Since(start, func(at time.Time, values []float64) {
		row := member.VitalsRow{Time: clock.Place(clock.Mono(at)), Values: values}
		out = row.Append(out)
	})
	return out
}

// listenersCSV renders the window's listeners that had anything in a queue.
func listenersCSV(listeners *ring.Listeners, start time.Time, clock host.Moment) []byte {
	out := []byte(member.ListenersHeader)
	listeners.Since(start, func(l *ring.Listener) {
		q := member.Queue{Time: clock.Place(clock.Mono(l.At)), Local: l.Local, SynQueue: int64(l.SynQueue),
			AcceptQueue: l.AcceptQueue, AcceptLimit: l.AcceptLimit}
		if l.SynQueue == ring.SynQueueUnknown {
			q.SynQueue = -1
		}
		out = q.Append(out)
	})
	return out
}

// listenerSource is the state of listeners.csv: that of the meter that reads the queues, and
// what the ring had no room for.
func listenerSource(meter format.Source, listeners *ring.Listeners, start time.Time) format.Source {
	s := format.Source{Name: "listeners", State: format.Complete, Variant: meter.Variant, Members: []string{member.ListenersName}}
	left, ticks, from := listeners.Missing(start)
	var missing []string
	if s.Lost = uint64(left); left > 0 {
		s.Unit = "queues"
		missing = append(missing, fmt.Sprintf("more listeners were busy than are kept, which are the fullest (ticks: %d)", ticks))
	}
	if !from.IsZero() {
		missing = append(missing, fmt.Sprintf("the ring had no room for the first %v of the window", from.Sub(start).Round(10*time.Millisecond)))
	}
	if meter.Lost > 0 {
		missing = append(missing, fmt.Sprintf("the queues could not be read at %d ticks since arming: %s", meter.Lost, meter.Reason))
	}
	switch {
	case meter.State == format.Unsupported, meter.State == format.Failed:
		s.State, s.Reason, s.Members = meter.State, meter.Reason, nil
	case meter.Variant == vital.ListenersUnseen: // the file is there, and has no line
		s.State, s.Reason, s.Members = format.Unsupported, meter.Reason, nil
	case len(missing) > 0:
		s.State, s.Reason = format.Partial, strings.Join(missing, "; ")
	}
	return s
}
