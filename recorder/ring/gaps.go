//go:build linux

package ring

import (
	"fmt"
	"time"
)

// gapsKept is more gaps than a window has whose evidence is of any use.
const gapsKept = 16

// Gaps remembers when a ring was not filled although it should have been: because the
// recorder was stopped, or because what fills it hung.
type Gaps struct {
	allowed time.Duration
	last    time.Time
	kept    [gapsKept]gap // the newest
	n       int           // so far
}

type gap struct{ from, to time.Time }

// NewGaps takes a pause longer than allowed between two fillings for a gap.
func NewGaps(allowed time.Duration) Gaps { return Gaps{allowed: allowed} }

// Begin says that the ring is to be filled from now on, which only the first call does.
func (g *Gaps) Begin(now time.Time) {
	if g.last.IsZero() {
		g.last = now
	}
}

// Filled notes that the ring was filled now.
func (g *Gaps) Filled(now time.Time) {
	g.Begin(now)
	if now.Sub(g.last) > g.allowed {
		g.kept[g.n%gapsKept] = gap{g.last, now}
		g.n++
	}
	g.last = now
}

// Missing is what gaps took of a window.
type Missing struct {
	Gaps  int
	First time.Time // when the first began
	Total time.Duration
}

// Within gives what is missing between two times, with a gap that has not ended yet.
func (g *Gaps) Within(start, end time.Time) Missing {
	var m Missing
	add := func(o gap) {
		from, to := o.from, o.to
		if from.Before(start) {
			from = start
		}
		if to.After(end) {
			to = end
		}
		if !to.After(from) {
			return
		}
		if m.Gaps == 0 {
			m.First = from
		}
		m.Gaps++
		m.Total += to.Sub(from)
	}
	for i := max(0, g.n-gapsKept); i < g.n; i++ {
		add(g.kept[i%gapsKept])
	}
	if !g.last.IsZero() && end.Sub(g.last) > g.allowed {
		add(gap{g.last, end})
	}
	return m
}

// String says it for the manifest: "nothing for 20.1s from 14:45:17.250 UTC on".
func (m Missing) String() string {
	if m.Gaps == 0 {
		return ""
	}
	const clock = "15:04:05.000 UTC"
	text := fmt.Sprintf("nothing for %v from %s on", m.Total.Round(100*time.Millisecond), m.First.UTC().Format(clock))
	if m.Gaps > 1 {
		text += fmt.Sprintf(", in %d gaps", m.Gaps)
	}
	return text
}
