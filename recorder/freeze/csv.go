//go:build linux

package freeze

import (
	"time"

	"github.com/spikebox/spikebox/format"
	"github.com/spikebox/spikebox/format/member"
	"github.com/spikebox/spikebox/recorder/ring"
)

// vitalsCSV renders the window's ticks.
func vitalsCSV(rows *ring.Rows, infos []format.VitalInfo, start, end time.Time) []byte {
	names := make([]string, len(infos))
	for i, info := range infos {
		names[i] = info.Name
	}
	out := member.AppendVitalsHeader(nil, names)
	rows.Since(start, func(at time.Time, values []float64) {
		row := member.VitalsRow{Time: wallNanos(at, end), Values: values}
		out = row.Append(out)
	})
	return out
}

// listenersCSV renders the window's listeners that had anything in a queue.
func listenersCSV(listeners *ring.Newest[ring.Listener], start, end time.Time) []byte {
	out := []byte(member.ListenersHeader)
	listeners.Each(func(l *ring.Listener) {
		if l.At.Before(start) {
			return
		}
		q := member.Queue{Time: wallNanos(l.At, end), Local: l.Local, SynQueue: int64(l.SynQueue),
			AcceptQueue: l.AcceptQueue, AcceptLimit: l.AcceptLimit}
		if l.SynQueue == ring.SynQueueUnknown {
			q.SynQueue = -1
		}
		out = q.Append(out)
	})
	return out
}

func wallNanos(at, end time.Time) int64 { return end.Add(at.Sub(end)).UnixNano() }
