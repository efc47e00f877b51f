package report

import (
	"math"
	"testing"

	"github.com/spikebox/spikebox/analyzer/timeline"
)

// Two series that were read over different parts of the window stand below each other, the
// same moment in the same column.
func TestSparkIsOnOneClock(t *testing.T) {
	window := timeline.Span{Start: 0, End: 10e9}
	for _, tc := range []struct {
		t    []int64
		v    []float64
		want string
	}{
		{[]int64{0, 5e9, 10e9}, []float64{0, 9, 0}, "▁█████▁▁▁▁"},
		{[]int64{4e9, 5e9, 6e9}, []float64{0, 9, 0}, "    ▁█▁"},
		{[]int64{0, 1e9, 2e9, 3e9, 4e9, 9e9, 10e9}, []float64{9, 0, 0, 0, 0, 9, 0}, "█▁▁▁▁    █"}, // a gap
		{[]int64{-1e9, 5e9, 11e9}, []float64{0, math.NaN(), 9}, "▁        █"},
	} {
		if got := spark(window, tc.t, tc.v, [2]float64{0, 9}, 10, Style{}.levels()); got != tc.want {
			t.Errorf("%v: %q, want %q", tc.t, got, tc.want)
		}
	}
}
