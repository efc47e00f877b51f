package trigger

import (
	"slices"
	"strings"
	"testing"
	"time"
)

// play runs one trigger under a policy along a vital's value over time, and gives when it
// made bundles.
func play(t *testing.T, s *Set, span time.Duration, value func(at time.Duration) float64) (bundles []time.Duration) {
	t.Helper()
	start := time.Unix(1e9, 0)
	for at := time.Duration(0); at < span; at += Tick {
		now := start.Add(at)
		s.Step(now, func(string) float64 { return value(at) }, func(f Fired) bool {
			if !s.Allow(f.Trigger.Expr, now, f.Again) {
				return false
			}
			bundles = append(bundles, at)
			return true
		})
	}
	return bundles
}

// A blip of three seconds spends the cooldown, and an outage of an hour begins within it. It
// is held back, not lost: it fires when the cooldown ends. It made no bundle at all.
func TestRefusedFiringStaysPending(t *testing.T) {
	s := NewSet([]*Trigger{parsed(t, "syn_recv > 100")}, Policy{Cooldown: 5 * time.Minute, MaxPerDay: 20})
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
	s := NewSet([]*Trigger{parsed(t, "syn_recv > 100")}, Policy{Cooldown: 5 * time.Minute})
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

// The cooldown is each trigger's own and counts from its firing, not from what was held
// back; the day's cap is of all triggers together, and a firing leaves it after 24 hours.
func TestSetPolicy(t *testing.T) {
	s := NewSet([]*Trigger{parsed(t, "syn_recv > 5"), parsed(t, "rtt.p99 > 5s")}, Policy{Cooldown: time.Minute, MaxPerDay: 3})
	const day = 24 * time.Hour
	suppressed := 0
	for _, step := range []struct {
		at         time.Duration
		over       string // the vitals that are over their limits
		fired      string
		suppressed int
	}{
		{0, "syn_recv", "syn_recv", 0},
		{30 * time.Second, "syn_recv rtt.p99", "rtt.p99", 1},
		{59 * time.Second, "syn_recv", "", 1},
		{time.Minute, "syn_recv", "syn_recv", 0},
		{5 * time.Minute, "rtt.p99", "", 1}, // the fourth
		{day, "syn_recv", "syn_recv", 0},    // the first is a day ago
		{day + 10*time.Second, "rtt.p99", "", 1},
		{day + 30*time.Second, "rtt.p99", "rtt.p99", 0},
	} {
		now := time.Unix(0, 0).Add(step.at)
		var fired []string
		s.Step(now, func(vital string) float64 {
			if strings.Contains(step.over, vital) {
				return 6
			}
			return 0
		}, func(f Fired) bool {
			ok := s.Allow(f.Trigger.Expr, now, f.Again)
			if ok {
				fired = append(fired, f.Trigger.Conditions[0].Vital)
			}
			return ok
		})
		if got := strings.Join(fired, " "); got != step.fired {
			t.Errorf("at %v: %q fired, want %q", step.at, got, step.fired)
		}
		if suppressed += step.suppressed; s.Suppressed != suppressed {
			t.Errorf("at %v: %d held back, want %d", step.at, s.Suppressed, suppressed)
		}
		// Clears what fired.
		s.Step(now.Add(time.Second), func(string) float64 { return 0 }, func(Fired) bool { return true })
	}
	if s.Allow("kmsg oops", time.Unix(0, 0).Add(day+31*time.Second), false) {
		t.Error("a line of the kernel log goes past the day's cap")
	}
}
