package timeline

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

// Two blips stay two; what is interrupted for less than apart is one stretch.
func TestRuns(t *testing.T) {
	s := &Series{Counts: true, V: []float64{nan, 0, 4, 5, 0, 6, 0, 0, 0, 1}}
	for i := range s.V {
		s.T = append(s.T, int64(i+1)*second)
	}
	in := Span{0, 20 * second}
	positive := func(v float64) bool { return v > 0 }
	want := []Span{{2 * second, 4 * second}, {5 * second, 6 * second}, {9 * second, 10 * second}}
	if diff := cmp.Diff(want, s.Runs(in, 0, positive)); diff != "" {
		t.Errorf("runs (-want +got):\n%s", diff)
	}
	want = []Span{{2 * second, 6 * second}, {9 * second, 10 * second}}
	got := s.Runs(in, second, positive)
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("runs a second apart (-want +got):\n%s", diff)
	}
	if longest, ok := Longest(got); !ok || longest != want[0] {
		t.Errorf("longest %v, want %v", longest, want[0])
	}
	if _, ok := Longest((*Series)(nil).Runs(in, 0, positive)); ok {
		t.Error("a series that is not there has a run")
	}
}

// CPUs are added up; one that came later counts from then on.
func TestTotal(t *testing.T) {
	a := &Series{Counts: true, Source: "proc/stat", V: []float64{nan, 1, 2}}
	b := &Series{Counts: true, Source: "proc/stat", V: []float64{nan, nan, 5}}
	if diff := cmp.Diff([]float64{nan, 1, 7}, Total("sum", []*Series{a, b}).V, sameFloats); diff != "" {
		t.Errorf("sum (-want +got):\n%s", diff)
	}
	if Total("sum", nil) != nil {
		t.Error("nothing has a sum")
	}
}
