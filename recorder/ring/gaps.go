//go:build linux

package ring

import (
	"time"

	"github.com/spikebox/spikebox/format"
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

// Within gives what is missing between two times, with a gap that has not ended yet.
func (g *Gaps) Within(start, end time.Time) format.Silence {
	var m format.Silence
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
