//go:build linux

package ring

import (
	"slices"
	"testing"
)

func TestSecondHoldsFourTicks(t *testing.T) {
	var s Second[int]
	if s.Oldest() != nil || len(held(&s)) != 0 {
		t.Errorf("before the first tick it holds %v", held(&s))
	}
	for tick, want := range [][]int{{0}, {0, 1}, {0, 1, 2}, {0, 1, 2, 3}, {1, 2, 3, 4}, {2, 3, 4, 5}} {
		if at := s.Push(tick); *at != tick {
			t.Errorf("tick %d lies at a place that holds %d", tick, *at)
		}
		if got := held(&s); !slices.Equal(got, want) || *s.Oldest() != want[0] {
			t.Errorf("after tick %d it holds %v with %d as the oldest, want %v", tick, got, *s.Oldest(), want)
		}
	}
}

func held(s *Second[int]) (all []int) {
	for v := range s.All() {
		all = append(all, *v)
	}
	slices.Sort(all)
	return all
}
