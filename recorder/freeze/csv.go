//go:build linux

package freeze

import (
	"math"
	"strconv"
	"time"

	"github.com/spikebox/spikebox/format"
	"github.com/spikebox/spikebox/recorder/ring"
)

// vitalsCSV renders the window's ticks: Unix ns, then each vital, empty where it was
// not measured.
func vitalsCSV(rows *ring.Rows, infos []format.VitalInfo, start, end time.Time) []byte {
	out := []byte("time")
	for _, info := range infos {
		out = append(append(out, ','), info.Name...)
	}
	out = append(out, '\n')
	rows.Since(start, func(at time.Time, row []float64) {
		out = strconv.AppendInt(out, wallNanos(at, end), 10)
		for _, v := range row {
			out = append(out, ',')
			if !math.IsNaN(v) {
				out = strconv.AppendFloat(out, v, 'g', -1, 64)
			}
		}
		out = append(out, '\n')
	})
	return out
}

// listenersCSV renders the window's listeners that had anything in a queue.
func listenersCSV(listeners *ring.Newest[ring.Listener], start, end time.Time) []byte {
	out := []byte("time,local,port,syn_queue,accept_queue,accept_limit\n")
	listeners.Each(func(l *ring.Listener) {
		if l.At.Before(start) {
			return
		}
		out = strconv.AppendInt(out, wallNanos(l.At, end), 10)
		out = append(append(out, ','), l.Local.Addr().String()...)
		out = strconv.AppendUint(append(out, ','), uint64(l.Local.Port()), 10)
		out = append(out, ',')
		if l.SynQueue != ring.SynQueueUnknown {
			out = strconv.AppendUint(out, uint64(l.SynQueue), 10)
		}
		out = strconv.AppendUint(append(out, ','), uint64(l.AcceptQueue), 10)
		out = strconv.AppendUint(append(out, ','), uint64(l.AcceptLimit), 10)
		out = append(out, '\n')
	})
	return out
}

func wallNanos(at, end time.Time) int64 { return end.Add(at.Sub(end)).UnixNano() }
