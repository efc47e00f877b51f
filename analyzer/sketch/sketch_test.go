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
			if rest.N() != 0 || rest.cells != nil {
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

// A sketch takes memory by what it holds: a connection's round trips, whatever their number, lie in some tens of buckets, and a
// hundred thousand connections are live at once. What is wider, or deeper than a cell counts, is the same sketch in more memory.
func TestRoom(t *testing.T) {
	var pool Pool
	add := func(n int, at func(i int) int64) (s Sketch) {
		for i := range n {
			s.Add(at(i), &pool)
		}
		return s
	}
	for _, tt := range []struct {
		name    string
		n, most int
		at      func(i int) int64
	}{
		{"one", 1, 16, func(int) int64 { return 1e6 }},
		{"all alike", 100_000, 16, func(int) int64 { return 1e6 }},
		{"within a factor of two", 100_000, 128, func(i int) int64 { return 1e6 + int64(i)*10 }},
		{"within a factor of ten", 100_000, 256, func(i int) int64 { return 1e6 + int64(i)*90 }},
		{"of any length", 100_000, 4 * buckets, func(i int) int64 { return int64(i) * int64(i) }},
	} {
		before := pool.Bytes()
		s := add(tt.n, tt.at)
		if got := pool.Bytes() - before; got > int64(tt.most) {
			t.Errorf("%s: %d bytes, want at most %d", tt.name, got, tt.most)
		}
		s.Reset(&pool)
	}
	// What was given back is taken again: sketches that come and go allocate nothing.
	if n := testing.AllocsPerRun(10, func() {
		s := add(100, func(i int) int64 { return int64(i) * 1e5 })
		s.Reset(&pool)
	}); n > 0 {
		t.Errorf("a sketch that follows another allocates %v times", n)
	}
	// More of one bucket than a cell counts.
	deep := Sketch{min: 1e6, max: 1e6, n: mostCount, cells: append(pool.get(leastCells), uint32(bucket(1e6))<<countBits|mostCount)}
	deep.Add(1e6, &pool)
	deep.Add(3e6, &pool)
	if got := deep.Quantiles(); got.N != mostCount+2 || got.P50 != got.Min && got.P50 > 1.04 || got.Max != 3 {
		t.Errorf("more samples than a cell counts: %+v", got)
	}
	deep.Reset(&pool)
	if pool.Bytes() != 0 {
		t.Errorf("%d bytes are still in use", pool.Bytes())
	}
}
