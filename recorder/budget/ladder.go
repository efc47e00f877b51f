//go:build linux

package budget

import "slices"

const (
	// settle is how many measures in a row decide, by their average: with one each 10 s that
	// is 30 s, within which a load that is an incident has fired.
	settle = 3
	// worth is the part of the limit that shedding a tier must win. Evidence is not given up
	// for less, as where the recorder's own process is what costs.
	worth = 1.0 / 50
	// room is the part of the limit that must hold with a tier that comes back: measures of
	// one load differ by some percent.
	room = 0.9
	// A tier stays away for waitFirst measures (1 min), and each time that it must go again
	// for twice as long, up to waitMost (1 h): a load that comes and goes toggles
	// it hourly and not each minute. It is forgotten after waitMost measures without.
	waitFirst = 6
	waitMost  = 360
)

// Measure is what the recorder cost lately.
type Measure struct {
	Own      float64   // share of the machine's CPU time that the process took
	Programs float64   // that others took for it: programs and interrupts
	Load     float64   // packets a second that the machine received
	Cost     []float64 // share of each of Tiers that is armed
	Idle     []bool    // of Tiers that would take nothing now, as nobody asks for them; nil: none
}

// Used is all of it.
func (m *Measure) Used() float64 { return m.Own + m.Programs }

// Change is what is to be done: tiers by their index, in the order in which to do it.
type Change struct {
	Tiers []int
	Shed  bool    // else they come back
	Used  float64 // on average lately
}

// Ladder decides. It knows no time: it takes a measure for each stretch of it.
type Ladder struct {
	limit  float64
	rungs  []rung
	recent []Measure // since the last change, at most settle
	short  bool      // beyond the limit, with nothing left to shed
}

// rung is a tier's place.
type rung struct {
	there bool // can be had here at all
	shed  bool
	cost  float64 // last known
	load  float64 // at which that was
	stood int     // measures since it was shed, or since it came
	wait  int     // measures for which it stays away the next time
}

// NewLadder makes a ladder of those of Tiers that are there, for a limit as a share of the machine.
func NewLadder(limit float64, there func(*Tier) bool) *Ladder {
	l := &Ladder{limit: limit, rungs: make([]rung, len(Tiers))}
	for i, t := range Tiers {
		l.rungs[i] = rung{there: there(t), wait: waitFirst}
	}
	return l
}

// Step takes a measure and says what is to be done, at most one thing at a time: what it
// did is in the measures that follow.
func (l *Ladder) Step(m Measure) (c Change, ok bool) {
	for i := range l.rungs {
		r := &l.rungs[i]
		if r.stood++; !r.shed && r.stood > waitMost {
			r.wait = waitFirst
		}
	}
	if len(l.recent) == settle {
		l.recent = slices.Delete(l.recent, 0, 1)
	}
	if l.recent = append(l.recent, m); len(l.recent) < settle {
		return c, false
	}
	used := l.learn()
	switch {
	case used > l.limit:
		c = Change{Tiers: l.next(), Shed: true, Used: used}
		l.short = len(c.Tiers) == 0
	default:
		c = Change{Tiers: l.back(used), Used: used}
		l.short = false
	}
	for _, i := range c.Tiers {
		l.change(&l.rungs[i], c.Shed)
	}
	return c, len(c.Tiers) > 0
}

// learn takes the averages of the recent measures.
func (l *Ladder) learn() (used float64) {
	n := float64(len(l.recent))
	var load float64
	cost := make([]float64, len(l.rungs))
	for _, m := range l.recent {
		used += m.Used() / n
		load += m.Load / n
		for i := range cost {
			cost[i] += m.Cost[i] / n
		}
	}
	for i := range l.rungs {
		if r := &l.rungs[i]; !r.shed {
			r.cost, r.load = cost[i], load
		}
	}
	return used
}

// next is the first tier that is worth shedding, behind those that build on it.
func (l *Ladder) next() (tiers []int) {
	first := slices.IndexFunc(l.rungs, func(r rung) bool { return r.there && !r.shed && r.cost >= worth*l.limit })
	if first < 0 {
		return nil
	}
	for i, t := range Tiers {
		if r := l.rungs[i]; t.Within == Tiers[first].ID && r.there && !r.shed {
			tiers = append(tiers, i)
		}
	}
	return append(tiers, first)
}

// back is the last tier that has stayed away for long enough and that the budget has room for:
// what is shed last is worth most.
func (l *Ladder) back(used float64) []int {
	for i, r := range slices.Backward(l.rungs) {
		if !r.shed || r.stood < r.wait || l.missing(Tiers[i].Within) {
			continue
		}
		if used+l.expected(i) <= room*l.limit {
			return []int{i}
		}
	}
	return nil
}

// missing says whether a tier is shed.
func (l *Ladder) missing(id string) bool {
	return slices.ContainsFunc(Tiers, func(t *Tier) bool { return t.ID == id && l.rungs[slices.Index(Tiers, t)].shed })
}

// expected is what a tier that is shed would cost now. Programs run as often as there are
// packets; a load that is gone is no reason to stay away, nor is a cost while it is asked for.
func (l *Ladder) expected(tier int) float64 {
	r := &l.rungs[tier]
	if idle := l.recent[len(l.recent)-1].Idle; idle != nil && idle[tier] {
		return 0
	}
	if Tiers[tier].Fixed || r.load == 0 {
		return r.cost
	}
	now := 0.0
	for _, m := range l.recent {
		now = max(now, m.Load)
	}
	return r.cost * now / r.load
}

// change sheds a tier or takes it back, and begins to measure anew.
func (l *Ladder) change(r *rung, shed bool) {
	if !shed { // should it have to go again
		r.wait = min(2*r.wait, waitMost)
	}
	r.shed, r.stood = shed, 0
	l.recent = l.recent[:0]
}
