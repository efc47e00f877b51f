package trigger

import (
	"cmp"
	"slices"
	"time"
)

// Policy bounds how often bundles are written, whatever the vitals do. What a person asks
// for by signal or socket is not asked here, and takes from nobody's budget.
type Policy struct {
	Cooldown  time.Duration // no second bundle of the same trigger within it
	MaxPerDay int           // bundles of each trigger within 24 h; 0 is no cap
}

const (
	day = 24 * time.Hour
	// allOf bounds the bundles of all triggers together, as a multiple of MaxPerDay: three that
	// flap may use up their days, and thirty on a host whose limits are all wrong do not fill
	// its disk. Beyond that each trigger still has its first in 24 hours: what has not been
	// seen yet is what the recorder is armed for, so one for each is held in reserve.
	allOf = 3
)

// Held is what the policy held back of one trigger.
type Held struct {
	Trigger string
	Count   int       // firings that made no bundle and joined none
	Since   time.Time // the first of them
	Until   time.Time // it is held back
	Reason  string    // the flag that does it: cooldown or max-per-day
}

// Spent is what a trigger has used of its budget, for a recorder that starts again.
type Spent struct {
	Last    time.Time   `json:"last"`              // in a bundle of its own or another's
	Bundles []time.Time `json:"bundles,omitempty"` // of its own in the last 24 h, oldest first
}

// On gives the same on the clock as it stands now. Between times of one process there lies what has passed, however the clock was set
// meanwhile; on disk they would be of a clock that is gone, and after it was set back an hour of the future.
func (s Spent) On(now time.Time) Spent {
	on := func(at time.Time) time.Time { return now.Add(min(at.Sub(now), 0)) }
	moved := Spent{Last: on(s.Last)}
	for _, at := range s.Bundles {
		moved.Bundles = append(moved.Bundles, on(at))
	}
	return moved
}

// Set is the triggers of one recorder, evaluated together.
type Set struct {
	policy Policy
	evals  []*Eval
	spent  map[string]*Spent // by expression
	held   map[string]*Held
	// Suppressed counts firings that the policy held back.
	Suppressed int
}

// NewSet evaluates triggers under a policy. What an earlier set has spent may be nil.
func NewSet(triggers []*Trigger, policy Policy, spent map[string]Spent) *Set {
	s := &Set{policy: policy, spent: map[string]*Spent{}, held: map[string]*Held{}}
	for _, t := range triggers {
		e := NewEval(t)
		e.cold = true
		s.evals = append(s.evals, e)
	}
	for expr, used := range spent {
		s.spent[expr] = &used
	}
	return s
}

// Rearm evaluates other triggers from now on. Those that stay go on where they were, and a factor
// on a vital that another has watched knows what that has learned.
func (s *Set) Rearm(triggers []*Trigger, policy Policy, now time.Time) {
	known, before := s.Baselines(now), s.evals
	s.policy, s.evals = policy, nil
	for _, t := range triggers {
		at := slices.IndexFunc(before, func(e *Eval) bool { return e.trigger.Expr == t.Expr })
		if at >= 0 {
			s.evals = append(s.evals, before[at])
			continue
		}
		e := NewEval(t)
		e.cold = true
		for i := range known {
			// Of the unit that it has here, and just made: it is never refused.
			_ = e.Recall(&known[i], now)
		}
		s.evals = append(s.evals, e)
	}
}

// Step takes one row of the vitals' timeline (NaN for what was not measured), and asks
// take about every trigger whose conditions hold. What take refuses it asks again at the
// next tick, for as long as they do.
func (s *Set) Step(now time.Time, value func(vital string) float64, take func(Fired) bool) {
	for _, e := range s.evals {
		e.Step(now, value, take)
	}
}

// splitApart is how far apart two begins of a trigger's conditions are told: one that dances on its limit begins each second.
const splitApart = 10 * time.Second

// Began says whether the conditions of a trigger began to hold at the last step: what was measured for it is what came between the
// tick before and now, and Fired.Since is this tick, if it holds for long enough.
func (s *Set) Began(now time.Time) bool {
	any := false
	for _, e := range s.evals {
		if e.begins(now) && now.Sub(e.begun) >= splitApart {
			e.begun, any = now, true
		}
	}
	return any
}

// Grant applies the policy to what Step asks about, as Allow does. A condition that was asked
// about before waits silently: it is held back once, and not at each tick.
func (s *Set) Grant(f Fired, joins bool) (ok bool, muted *Held) {
	if used := s.spent[f.Trigger.Expr]; f.Again && !joins && used != nil {
		s.forget(f.Time)
		if _, reason := s.until(used, f.Time); reason != "" {
			return false, nil
		}
	}
	return s.Allow(f.Trigger.Expr, f.Time, joins)
}

// Allow applies the policy to a firing of what expr names, and counts it where it may be.
// One that joins a bundle which is coming anyway costs none. The first that is held back
// gives, once, until when that goes on.
func (s *Set) Allow(expr string, now time.Time, joins bool) (ok bool, muted *Held) {
	used := s.spent[expr]
	if used == nil {
		used = &Spent{}
		s.spent[expr] = used
	}
	s.forget(now)
	until, reason := s.until(used, now)
	if joins || reason == "" {
		if used.Last = now; !joins {
			used.Bundles = append(used.Bundles, now)
		}
		return true, nil
	}
	s.Suppressed++
	h := s.held[expr]
	if h == nil {
		h = &Held{Trigger: expr, Since: now}
		s.held[expr] = h
	}
	if h.Count == 0 {
		h.Since = now
	}
	h.Count++
	if now.Before(h.Until) { // said already
		return false, nil
	}
	h.Until, h.Reason = until, reason
	told := *h
	return false, &told
}

// until says how long a trigger is held back and by which bound; an empty reason is not.
func (s *Set) until(used *Spent, now time.Time) (until time.Time, reason string) {
	if n := s.policy.MaxPerDay; n > 0 {
		if own := len(used.Bundles); own >= n {
			return used.Bundles[own-n].Add(day), "max-per-day"
		}
		var all []time.Time
		for _, other := range s.spent {
			all = append(all, other.Bundles...)
		}
		if len(used.Bundles) > 0 && len(all) >= allOf*n {
			slices.SortFunc(all, time.Time.Compare)
			return all[len(all)-allOf*n].Add(day), "max-per-day"
		}
	}
	if !used.Last.IsZero() && now.Sub(used.Last) < s.policy.Cooldown {
		return used.Last.Add(s.policy.Cooldown), "cooldown"
	}
	return time.Time{}, ""
}

// forget lets go of bundles that are a day old.
func (s *Set) forget(now time.Time) {
	for _, used := range s.spent {
		used.Bundles = slices.DeleteFunc(used.Bundles, func(at time.Time) bool { return now.Sub(at) >= day })
	}
}

// HeldBack gives what is held back now, or was since Told, by expression.
func (s *Set) HeldBack(now time.Time) []Held {
	var all []Held
	for expr, h := range s.held {
		if h.Count == 0 && !now.Before(h.Until) {
			delete(s.held, expr)
			continue
		}
		all = append(all, *h)
	}
	slices.SortFunc(all, func(a, b Held) int { return cmp.Compare(a.Trigger, b.Trigger) })
	return all
}

// Told takes what a bundle has told of what was held back off the counts.
func (s *Set) Told(all []Held) {
	for _, told := range all {
		if h := s.held[told.Trigger]; h != nil {
			h.Count -= told.Count
		}
	}
}

// Spent gives what is used of each budget now.
func (s *Set) Spent(now time.Time) map[string]Spent {
	s.forget(now)
	all := map[string]Spent{}
	for expr, used := range s.spent {
		if !used.Last.IsZero() && (len(used.Bundles) > 0 || now.Sub(used.Last) < s.policy.Cooldown) {
			all[expr] = used.On(now)
		}
	}
	return all
}
