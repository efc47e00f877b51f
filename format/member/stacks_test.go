package member

import "testing"

func TestStacksSampled(t *testing.T) {
	for _, c := range []struct {
		details  map[string]string
		from, to int64
		want     bool
	}{
		{nil, 1, 2, true}, // a recorder that sampled always
		{map[string]string{StacksSpans: ""}, 1, 2, false},
		{map[string]string{StacksSpans: "10-20,30-40"}, 30, 40, true},
		{map[string]string{StacksSpans: "10-20,30-40"}, 10, 40, false},
		{map[string]string{StacksSpans: "10-20,30-40"}, 9, 20, false},
		{map[string]string{StacksSpans: "10,-,x-y"}, 10, 10, false},
	} {
		if got := StacksSampled(c.details, c.from, c.to); got != c.want {
			t.Errorf("%q has %d to %d: %v, want %v", c.details[StacksSpans], c.from, c.to, got, c.want)
		}
	}
}
