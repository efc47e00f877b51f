//go:build linux

package probe

import (
	"testing"
	"time"

	"github.com/spikebox/spikebox/recorder/internal/testns"
)

// The clocks run while somebody asks for it, and not while that is forbidden; both is
// remembered for the manifest, and what they took adds up.
func TestWatchStacks(t *testing.T) {
	testns.New(t) // only for its gate
	s := armAll(t, Options{})
	start := time.Now()
	if got := s.Stacks.Sampled(start.Add(-time.Hour), time.Now()); len(got) > 0 || s.Stacks.ClockTime(time.Now()) != 0 {
		t.Errorf("armed, the clocks have run %v", got)
	}
	must(t, s.Stacks.Watch(true))
	must(t, s.Stacks.Watch(true))
	must(t, s.Shed("stacks", true))
	must(t, s.Stacks.Watch(true))
	if !s.Stacks.Wanted() || s.Stacks.spans.open() {
		t.Error("the clocks run while they are shed")
	}
	took := s.Stacks.ClockTime(time.Now())
	if later := s.Stacks.ClockTime(time.Now().Add(time.Hour)); took <= 0 || later != took {
		t.Errorf("clocks that stand took %v, and %v later", took, later)
	}
	must(t, s.Shed("stacks", false))
	spans := s.Stacks.Sampled(start, time.Now())
	if len(spans) != 2 || spans[0].From.Before(start) || !spans[0].To.After(spans[0].From) || !spans[1].To.IsZero() {
		t.Errorf("the clocks ran %v", spans)
	}
	must(t, s.Stacks.Watch(false))
	if got := s.Stacks.Sampled(time.Now(), time.Now()); len(got) > 0 {
		t.Errorf("the clocks run now: %v", got)
	}
}
