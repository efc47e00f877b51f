//go:build linux

package probe

import (
	"slices"
	"time"
)

// Span is a time in which something was done that is done at times only; To is zero while it is.
type Span struct{ From, To time.Time }

// spans are the latest ones, oldest first.
type spans []Span

// spansKept is more than a window of ten minutes holds, with a span every ten seconds.
const spansKept = 64

// open says whether one goes on.
func (s spans) open() bool { return len(s) > 0 && s[len(s)-1].To.IsZero() }

func (s *spans) begin(now time.Time) {
	*s = append(*s, Span{From: now})
	*s = slices.Delete(*s, 0, max(0, len(*s)-spansKept))
}

// end ends the one that goes on, and says how long it was.
func (s spans) end(now time.Time) time.Duration {
	last := &s[len(s)-1]
	last.To = now
	return now.Sub(last.From)
}

// within gives those that a window has a part of.
func (s spans) within(start, end time.Time) (all []Span) {
	for _, one := range s {
		if !one.From.After(end) && (one.To.IsZero() || !one.To.Before(start)) {
			all = append(all, one)
		}
	}
	return all
}

// overlap is how much of a window lies in them. A tick asks: nothing is allocated.
func (s spans) overlap(start, end time.Time) (d time.Duration) {
	for _, one := range s {
		from, to := one.From, one.To
		if from.Before(start) {
			from = start
		}
		if to.IsZero() || to.After(end) {
			to = end
		}
		d += max(0, to.Sub(from))
	}
	return d
}
