//go:build linux

package vital

import (
	"math"
	"strings"
	"time"

	"github.com/spikebox/spikebox/recorder/ring"
)

// rate turns a counter into events per second over the last second of ticks.
type rate struct{ ticks ring.Second[reading] }

// reading is a counter's value at one tick.
type reading struct {
	at time.Time
	v  uint64
}

// add takes the counter's value and gives the rate; NaN for the first sample and after
// the counter went backwards (a reset, or another table behind the same name).
func (r *rate) add(now time.Time, v uint64) float64 {
	// Taken before the new reading goes in, which takes the oldest one's place: between
	// five readings lie four ticks, and that is the second. Over the readings that are
	// held afterwards a rate would count three ticks and call them a second.
	oldest := r.ticks.Oldest()
	if oldest == nil {
		r.ticks.Push(reading{now, v})
		return math.NaN()
	}
	old := *oldest
	if v < old.v {
		*r = rate{} // what went before is of another count
		r.ticks.Push(reading{now, v})
		return math.NaN()
	}
	r.ticks.Push(reading{now, v})
	elapsed := now.Sub(old.at).Seconds()
	if elapsed <= 0 {
		return math.NaN()
	}
	return float64(v-old.v) / elapsed
}

// oneLine folds joined errors into a sentence.
func oneLine(err error) string {
	return strings.ReplaceAll(err.Error(), "\n", "; ")
}

// ratio is part of whole, 0 where there was nothing; NaN where either was not measured.
func ratio(part, whole float64) float64 {
	if whole == 0 {
		return 0
	}
	return part / whole
}
