package sketch

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"
	"time"
)

// Quantiles of any number of samples are right within 3 %, extremes are exact; samples that were split among two
// sketches and put together say the same as one sketch of all.
func TestQuantiles(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	var pool Pool
	for _, n := range []int{1, 2, 11, 12, 13, 24, 1000, 20000} {
		for _, share := range []int{1, 2, 7} { // every such sample goes to the second sketch
			var all, part, rest Sketch
			samples := make([]int64, n)
			for i := range samples {
				samples[i] = int64(math.Exp(r.Float64()*12) * float64(2*time.Microsecond))
				all.Add(samples[i], &pool)
				if i%share == 0 {
					rest.Add(samples[i], &pool)
				} else {
					part.Add(samples[i], &pool)
				}
			}
			part.Take(&rest, &pool)
			if rest != (Sketch{}) {
				t.Errorf("%d samples: what was taken is still there: %+v", n, rest.Quantiles())
			}
			slices.Sort(samples)
			got := part.Quantiles()
			if one := all.Quantiles(); got != one {
				t.Errorf("%d samples, in two parts: %+v, in one: %+v", n, got, one)
			}
			if got.N != uint64(n) || got.Min != float64(samples[0])/1e6 || got.Max != float64(samples[n-1])/1e6 || part.Max() != samples[n-1] {
				t.Errorf("%d samples: %+v, want %d to %d", n, got, samples[0], samples[n-1])
			}
			for q, v := range map[float64]float64{0.50: got.P50, 0.99: got.P99} {
				want := float64(samples[int(math.Ceil(q*float64(n)))-1]) / 1e6
				if math.Abs(v-want) > want*0.032 {
					t.Errorf("%d samples, quantile %v: %v ms, want %v", n, q, v, want)
				}
			}
			all.Reset(&pool)
			part.Reset(&pool)
		}
	}
	if pool.Bytes() != 0 {
		t.Errorf("%d bytes are still in use", pool.Bytes())
	}
}
