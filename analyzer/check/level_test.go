package check

import (
	"testing"

	"github.com/spikebox/spikebox/analyzer/timeline"
)

// A second in which somebody always waited has no more than all of it, though the reading came a little late.
func TestSharesEndAtAll(t *testing.T) {
	got := shares(&timeline.Series{T: []int64{0, 1e9, 2e9}, V: []float64{0, 1.012, 0.25}}, 1)
	if want := []float64{1, 0.25}; got.V[1] != want[0] || got.V[2] != want[1] {
		t.Errorf("shares %v, want %v after the first", got.V, want)
	}
}
