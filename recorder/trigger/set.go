package trigger

import "time"

// Policy bounds how often bundles are written, whatever the vitals do.
type Policy struct {
	Cooldown  time.Duration // no second firing of the same trigger within it
	MaxPerDay int           // firings of all triggers within 24 h; 0 is no cap
}

// Set is the triggers of one recorder, evaluated together.
type Set struct {
	policy Policy
	evals  []*Eval
	last   map[string]time.Time // when each fired last, by expression
	recent []time.Time          // firings of all within the last 24 h, oldest first
	// Suppressed counts firings that the policy held back.
	Suppressed int
}

// NewSet evaluates triggers under a policy.
func NewSet(triggers []*Trigger, policy Policy) *Set {
	s := &Set{policy: policy, last: map[string]time.Time{}}
	for _, t := range triggers {
		s.evals = append(s.evals, NewEval(t))
	}
	return s
}

// Step takes one row of the vitals' timeline (NaN for what was not measured), and asks
// take about every trigger whose conditions hold. What take refuses it asks again at the
// next tick, for as long as they do.
func (s *Set) Step(now time.Time, value func(vital string) float64, take func(Fired) bool) {
	for _, e := range s.evals {
		e.Step(now, value, take)
	}
}

// Allow applies the policy to a firing, and counts it as one where it may be. Triggers
// that no vital is behind, such as a line of the kernel log, ask here. Again is Fired.Again:
// what was held back already is not counted a second time.
func (s *Set) Allow(expr string, now time.Time, again bool) bool {
	last, before := s.last[expr]
	if before && now.Sub(last) < s.policy.Cooldown || !s.room(now) {
		if !again {
			s.Suppressed++
		}
		return false
	}
	s.last[expr] = now
	s.recent = append(s.recent, now)
	return true
}

// room says whether the day's cap leaves room for one more.
func (s *Set) room(now time.Time) bool {
	for len(s.recent) > 0 && now.Sub(s.recent[0]) >= 24*time.Hour {
		s.recent = s.recent[1:]
	}
	return s.policy.MaxPerDay == 0 || len(s.recent) < s.policy.MaxPerDay
}
