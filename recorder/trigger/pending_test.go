package trigger

import (
	"slices"
	"testing"
	"time"
)

// play runs one trigger under a policy along a vital's value over time, and gives when it
// made bundles.
func play(t *testing.T, s *Set, span time.Duration, value func(at time.Duration) float64) (bundles []time.Duration) {
	t.Helper()
	for at := time.Duration(0); at < span; at += Tick {
		now := start.Add(at)
		s.Step(now, func(string) float64 { return value(at) }, func(f Fired) bool {
			ok, _ := s.Grant(f, false)
			if ok {
				bundles = append(bundles, at)
			}
			return ok
		})
	}
	return bundles
}

// A blip of three seconds spends the cooldown, and an outage of an hour begins within it. It
// is held back, not lost: it fires when the cooldown ends. It made no bundle at all.
func TestRefusedFiringStaysPending(t *testing.T) {
	s := NewSet([]*Trigger{parsed(t, "syn_recv > 100")}, Policy{Cooldown: 5 * time.Minute, MaxPerDay: 20}, nil)
	m := time.Minute
	got := play(t, s, 70*m, func(at time.Duration) float64 {
		if at >= m && at < m+3*time.Second || at >= 3*m && at < 63*m {
			return 500
		}
		return 0
	})
	// 3 min old at 6 min, and asked about when it is twice as old; then the cooldown has to end.
	if want := []time.Duration{m, 6 * m, 11 * m, 19 * m, 35 * m}; !slices.Equal(got, want) {
		t.Errorf("bundles at %v, want %v", got, want)
	}
	if s.Suppressed != 1 {
		t.Errorf("%d firings held back, want the outage's first", s.Suppressed)
	}
}

// What ends before the policy allows it is not cut later: its seconds are gone.
func TestPendingEndsWithItsCondition(t *testing.T) {
	s := NewSet([]*Trigger{parsed(t, "syn_recv > 100")}, Policy{Cooldown: 5 * time.Minute}, nil)
	m := time.Minute
	got := play(t, s, 20*m, func(at time.Duration) float64 {
		if at%(2*m) < 10*time.Second && at < 9*m { // at 0, 2, 4, 6 and 8 min
			return 500
		}
		return 0
	})
	if want := []time.Duration{0, 6 * m}; !slices.Equal(got, want) || s.Suppressed != 3 {
		t.Errorf("bundles at %v, %d held back, want %v, and 3", got, s.Suppressed, want)
	}
}
