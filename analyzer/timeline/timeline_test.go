package timeline

import (
	"math"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/spikebox/spikebox/analyzer/column"
)

var nan = math.NaN()

// sameFloats compares values, a gap being equal to a gap.
var sameFloats = cmp.Comparer(func(a, b float64) bool { return a == b || a != a && b != b })

const second = int64(1e9)

// readings makes a column that was read once a second from second 1 on.
func readings(kind column.Kind, v ...float64) *column.Column {
	axis := &column.Axis{}
	for i := range v {
		axis.T = append(axis.T, int64(i+1)*second)
	}
	return &column.Column{Name: "c", Kind: kind, Axis: axis, V: v}
}

func TestIncrements(t *testing.T) {
	for _, tt := range []struct {
		name   string
		kind   column.Kind
		in     []float64
		want   []float64
		resets int
	}{
		{"level", column.Gauge, []float64{5, 3, nan, 4}, []float64{5, 3, nan, 4}, 0},
		{"counter", column.Counter, []float64{5, 5, 8}, []float64{nan, 0, 3}, 0},
		{"counter above 2^53", column.Counter, []float64{1 << 60, 1<<60 + 1<<20}, []float64{nan, 1 << 20}, 0},
		{"events", column.Events, []float64{5, 0, 8}, []float64{5, 0, 8}, 0},
		{"gap", column.Counter, []float64{5, nan, 8, 9}, []float64{nan, nan, nan, 1}, 0},
		{"reset", column.Counter, []float64{1000, 4, 6}, []float64{nan, nan, 2}, 1},
		{"wrap", column.Counter32, []float64{1<<32 - 1, 4}, []float64{nan, 5}, 0},
		{"reset of a 32-bit counter", column.Counter32, []float64{1000, 4}, []float64{nan, nan}, 1},
	} {
		s := fromColumn(readings(tt.kind, tt.in...))
		if diff := cmp.Diff(tt.want, s.V, sameFloats); diff != "" || s.Resets != tt.resets {
			t.Errorf("%s: %d resets, values (-want +got):\n%s", tt.name, s.Resets, diff)
		}
	}
}

func TestSumMaxWhere(t *testing.T) {
	s := fromColumn(readings(column.Counter, 0, 0, 7, 7, 9, 9))
	window := Span{1 * second, 6 * second}
	if sum, n := s.Sum(window); sum != 9 || n != 5 {
		t.Errorf("sum %v of %d readings, want 9 of 5", sum, n)
	}
	if sum, n := s.Sum(Span{3 * second, 4 * second}); sum != 0 || n != 1 {
		t.Errorf("sum %v of %d readings after the first step, want 0 of 1", sum, n)
	}
	if v, at, ok := s.Max(window); v != 7 || at != 3*second || !ok {
		t.Errorf("max %v at %d, %v", v, at, ok)
	}
	moved := func(v float64) bool { return v > 0 }
	if span, ok := s.Where(window, moved); !ok || span != (Span{2 * second, 5 * second}) {
		t.Errorf("moved in %v, %v; want from the reading before the first step to the last step", span, ok)
	}
	if diff := cmp.Diff([]float64{nan, 0, 7, 0, 2, 0}, s.Rates(), sameFloats); diff != "" {
		t.Errorf("rates (-want +got):\n%s", diff)
	}
	var none *Series
	if _, n := none.Sum(window); n != 0 {
		t.Error("a series that is not there has readings")
	}
	if _, ok := none.Where(window, moved); ok {
		t.Error("a series that is not there moved")
	}
}

func TestCoverage(t *testing.T) {
	window := Span{0, 10 * second}
	var every []int64
	for i := range int64(11) {
		every = append(every, i*second)
	}
	hurried := slices.Clone(every[:8])
	for at := 7*second + second/10; at <= 10*second; at += second / 10 {
		hurried = append(hurried, at)
	}
	for _, tt := range []struct {
		name  string
		times []int64
		part  float64
		gaps  []Span
	}{
		{"all", every, 1, nil},
		{"none", nil, 0, []Span{{0, 10 * second}}},
		{"late", every[5:], 0.5, []Span{{0, 5 * second}}},
		{"hole", []int64{0, second, 2 * second, 3 * second, 9 * second, 10 * second}, 0.4, []Span{{3 * second, 9 * second}}},
		{"ten a second after the trigger", hurried, 1, nil},
		{"other times", []int64{20 * second, 21 * second}, 0, []Span{{0, 10 * second}}},
	} {
		part, gaps := Coverage(tt.times, window, oneSecond)
		if math.Abs(part-tt.part) > 1e-9 {
			t.Errorf("%s: covers %v, want %v", tt.name, part, tt.part)
		}
		if diff := cmp.Diff(tt.gaps, gaps); diff != "" {
			t.Errorf("%s: gaps (-want +got):\n%s", tt.name, diff)
		}
	}
}

func TestMatch(t *testing.T) {
	s := &Set{byName: map[string]*Series{"a.b": {Name: "a.b"}, "a.c.d": {Name: "a.c.d"}, "x": {Name: "x"}}, names: []string{"a.b", "a.c.d", "x"}}
	got, err := s.Match("a.*")
	if err != nil || len(got) != 2 {
		t.Errorf("a.* matched %v, %v", got, err)
	}
	if _, err := s.Match("["); err == nil {
		t.Error("a broken pattern was accepted")
	}
}
