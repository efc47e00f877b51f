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

// listenerSource is the state of listeners.csv: that of the meter that saw the queues, and
// what the ring has no room for.
func listenerSource(meter format.Source, listeners *ring.Listeners, start time.Time) format.Source {
	s := format.Source{Name: "listeners", State: meter.State, Variant: meter.Variant, Reason: meter.Reason, Members: []string{member.ListenersName}}
	if s.State == format.Unsupported || s.State == format.Failed {
		s.Members = nil
		return s
	}
	left, ticks, from := listeners.Missing(start)
	if left == 0 && from.IsZero() {
		return s
	}
	s.State = format.Partial
	if s.Lost = uint64(left); left > 0 {
		s.Unit = "queues"
		s.Reason += fmt.Sprintf("; in %d ticks more listeners were busy than are kept: the fullest are", ticks)
	}
	if !from.IsZero() {
		s.Reason += fmt.Sprintf("; the ring had no room for the first %v of the window", from.Sub(start).Round(10*time.Millisecond))
	}
	s.Reason = strings.TrimPrefix(s.Reason, "; ")
	return s
}
