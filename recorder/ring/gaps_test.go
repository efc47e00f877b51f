//go:build linux

package ring

import (
	"testing"
	"time"
)

func TestGaps(t *testing.T) {
	at := func(s float64) time.Time {
		return time.Date(2026, 1, 2, 3, 4, 0, 0, time.UTC).Add(time.Duration(s * float64(time.Second)))
	}
	g := NewGaps(time.Second)
	if m := g.Within(at(0), at(100)); m.Gaps != 0 || m.String() != "" {
		t.Errorf("before the first filling %+v", m)
	}
	for _, s := range []float64{0, 1, 2, 22, 22.25, 24.25, 24.5} {
		g.Filled(at(s))
	}
	for _, c := range []struct {
		start, end float64
		want       string
	}{
		{0, 25, "nothing for 22s from 03:04:02.000 UTC on, in 2 gaps"},
		{0, 2, ""},
		{10, 22.1, "nothing for 12s from 03:04:10.000 UTC on"},
		{24.25, 25.5, ""},
		{24.3, 30, "nothing for 5.5s from 03:04:24.500 UTC on"}, // it has not ended
	} {
		if got := g.Within(at(c.start), at(c.end)).String(); got != c.want {
			t.Errorf("from %v to %v: %q, want %q", c.start, c.end, got, c.want)
		}
	}
	never := NewGaps(time.Second)
	never.Begin(at(5))
	never.Begin(at(9))
	if m := never.Within(at(0), at(10)); m.Total != 5*time.Second {
		t.Errorf("of what was never filled %+v", m)
	}
	// More gaps than are kept: the newest count.
	for i := range 100 {
		g.Filled(at(100 + 2*float64(i)))
	}
	if m := g.Within(at(0), at(298.5)); m.Gaps != gapsKept || m.Total != gapsKept*2*time.Second {
		t.Errorf("of many gaps %+v", m)
	}
}
