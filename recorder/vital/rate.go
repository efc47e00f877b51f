//go:build linux

package vital

import (
	"math"
	"strings"
	"time"
)

// rateSpan is how many ticks back a rate looks: one second of 250 ms ticks. A rate over
// a single tick would make every burst look four times as large as people count.
const rateSpan = 4

// rate turns a counter into events per second over the last second of ticks.
type rate struct {
	at [rateSpan]time.Time
	v  [rateSpan]uint64
	n  int // samples taken so far
}

// add takes the counter's value and gives the rate; NaN for the first sample and after
// the counter went backwards (a reset, or another table behind the same name).
func (r *rate) add(now time.Time, v uint64) float64 {
	slot := r.n % rateSpan
	oldest := slot
	if r.n < rateSpan {
		oldest = 0
	}
	at, old, n := r.at[oldest], r.v[oldest], r.n
	r.at[slot], r.v[slot] = now, v
	r.n++
	switch {
	case n == 0:
		return math.NaN()
	case v < old:
		*r = rate{}
		r.at[0], r.v[0], r.n = now, v, 1
		return math.NaN()
	}
	elapsed := now.Sub(at).Seconds()
	if elapsed <= 0 {
		return math.NaN()
	}
	return float64(v-old) / elapsed
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
