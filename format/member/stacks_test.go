package member

import "testing"

func TestWithin(t *testing.T) {
	for _, c := range []struct {
		details  map[string]string
		from, to int64
		want     float64
	}{
		{nil, 1, 2, 1}, // a recorder that did always
		{map[string]string{StacksSpans: ""}, 1, 2, 0},
		{map[string]string{StacksSpans: "10-20,30-40"}, 12, 20, 1},
		{map[string]string{StacksSpans: "10-20,30-40"}, 15, 35, 0.5},
		{map[string]string{StacksSpans: "10-20,x-40"}, 10, 40, 1.0 / 3},
		{map[string]string{StacksSpans: "20-10"}, 10, 20, 0},
	} {
		if got := Within(c.details, StacksSpans, c.from, c.to); got != c.want {
			t.Errorf("%v: %v of %d to %d, want %v", c.details, got, c.from, c.to, c.want)
		}
	}
}
