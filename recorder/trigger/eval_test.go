package trigger

import (
	"math"
	"slices"
	"testing"
	"time"
)

var nan = math.NaN()

// row gives one tick's values.
type row map[string]float64

// steps runs an expression along rows, one a tick, and gives the ticks at which it fired;
// what goes on is one firing.
func steps(t *testing.T, expr string, rows ...row) (fired []int) {
	t.Helper()
	e := NewEval(parsed(t, expr))
	for i, r := range rows {
		e.Step(time.Unix(1000, 0).Add(time.Duration(i)*Tick), func(vital string) float64 { return r[vital] }, func(f Fired) bool {
			if !f.Again {
				fired = append(fired, i)
			}
			return true
		})
	}
	return fired
}

// rows are those of one vital.
func rows(vital string, values ...float64) (all []row) {
	for _, v := range values {
		all = append(all, row{vital: v})
	}
	return all
}

func TestEval(t *testing.T) {
	for _, c := range []struct {
		story, expr string
		values      []float64
		want        []int
	}{
		{"at the limit is not beyond it", "syn_recv > 5", []float64{5, 5, 6}, []int{2}},
		{"fires once while it holds", "syn_recv > 5", []float64{6, 7, 8, 9}, []int{0}},
		{"one late exchange does not hold for a second", "rtt.p99 > 200ms for 1s",
			[]float64{0.3, 0.3, 0.3, 0.3, 0.01}, nil},
		{"holding for the second it fires at its end", "rtt.p99 > 200ms for 1s",
			[]float64{0.01, 0.3, 0.3, 0.3, 0.3, 0.3}, []int{5}},
		{"a tick without a value ends the hold", "rtt.p99 > 200ms for 1s",
			[]float64{0.3, 0.3, nan, 0.3, 0.3, 0.3, 0.3}, nil},
		{"dancing on the limit fires once", "syn_recv > 100", []float64{101, 99, 101, 95, 101}, []int{0}},
		{"clearing by a tenth arms again", "syn_recv > 100", []float64{101, 90, 101}, []int{0, 2}},
		{"an event after none", "listen.overflows > 0", []float64{0, 0, 4, 0, 4}, []int{2, 4}},
		{"falling", "tcp.mem < 10 for 250ms", []float64{12, 9, 9, 10.5, 9, 9, 12, 9, 9}, []int{2, 8}},
		{"what was below before anything came has not fallen", "tcp.mem < 10 for 250ms", []float64{0, 0, 0, 12, 0, 0}, []int{5}},
		{"what was above before is an incident", "syn_recv > 10 for 250ms", []float64{99, 99}, []int{1}},
	} {
		vital := parsed(t, c.expr).Conditions[0].Vital
		if got := steps(t, c.expr, rows(vital, c.values...)...); !slices.Equal(got, c.want) {
			t.Errorf("%s: %s on %v fired at %v, want %v", c.story, c.expr, c.values, got, c.want)
		}
	}
}

// Each condition has a hold of its own, and all hold at the tick that fires.
func TestEvalAnd(t *testing.T) {
	const expr = "retrans.ratio > 2% for 500ms and syn.retrans > 20"
	r := func(ratio, rate float64) row { return row{"retrans.ratio": ratio, "syn.retrans": rate} }
	for story, c := range map[string]struct {
		rows []row
		want []int
	}{
		"one segment of ten sent again is no loss": {[]row{r(0.1, 1), r(0.1, 1), r(0.1, 1), r(0.1, 1)}, nil},
		"the second comes within the first":        {[]row{r(0.1, 0), r(0.1, 0), r(0.1, 0), r(0.1, 30)}, []int{3}},
		"the first is over when the second comes":  {[]row{r(0.1, 0), r(0.1, 0), r(0.1, 0), r(0, 30)}, nil},
		"the first has not held for its time":      {[]row{r(0.1, 30), r(0.1, 30), r(0, 30), r(0.1, 30)}, nil},
		"one clears, and both come again":          {[]row{r(.1, 30), r(.1, 30), r(.1, 30), r(.1, 0), r(.1, 30)}, []int{2, 4}},
		"one is not measured":                      {[]row{r(.1, nan), r(.1, nan), r(.1, nan), r(.1, 30)}, []int{3}},
	} {
		if got := steps(t, expr, c.rows...); !slices.Equal(got, c.want) {
			t.Errorf("%s: fired at %v, want %v", story, got, c.want)
		}
	}
}

// Since is when the last of the conditions began.
func TestFiredTellsTheFirstCondition(t *testing.T) {
	e := NewEval(parsed(t, "syn_recv > 5 for 500ms and tcp.mem > 1"))
	var got Fired
	for i, mem := range []float64{0, 2, 2, 2} {
		e.Step(time.Unix(0, int64(i)*int64(Tick)), func(vital string) float64 {
			if vital == "tcp.mem" {
				return mem
			}
			return 7
		}, func(f Fired) bool { got = f; return true })
	}
	if got.Value != 7 || got.Limit != 5 || !got.Since.Equal(time.Unix(0, int64(Tick))) || !got.Time.Equal(time.Unix(0, 2*int64(Tick))) {
		t.Errorf("fired %+v", got)
	}
}

// Time that was not measured counts for no hold: a clock that is set by an hour makes no
// hour of an instant, and does not stop a hold either.
func TestEvalClockStep(t *testing.T) {
	for _, step := range []time.Duration{time.Hour, -time.Hour} {
		e := NewEval(parsed(t, "syn_recv > 5 for 2s"))
		now, at := time.Unix(1e6, 0), -1
		for i := range 20 {
			if now = now.Add(Tick); i == 2 {
				now = now.Add(step)
			}
			e.Step(now, func(string) float64 { return 9 }, func(f Fired) bool {
				at = i
				return true
			})
			if at >= 0 {
				break
			}
		}
		// Eight ticks after the first; the step itself is worth a second, or nothing.
		if want := map[bool]int{true: 5, false: 9}[step > 0]; at != want {
			t.Errorf("clock set by %v: fired at tick %d, want %d", step, at, want)
		}
	}
}

func TestStepAllocatesNothing(t *testing.T) {
	s := NewSet([]*Trigger{parsed(t, "rtt.p99 > 5x for 2s"), parsed(t, "syn_recv > 5 and tcp.mem > 1")}, Policy{}, nil)
	now := time.Unix(1e9, 0)
	value := func(string) float64 { return 0.002 }
	take := func(Fired) bool { return true }
	if n := testing.AllocsPerRun(1000, func() {
		now = now.Add(Tick)
		s.Step(now, value, take)
	}); n != 0 {
		t.Errorf("%v allocations a step", n)
	}
}

func BenchmarkStep(b *testing.B) {
	tr, err := Parse("rtt.p99 > 5x for 2s", units)
	if err != nil {
		b.Fatal(err)
	}
	e := NewEval(tr)
	now := time.Unix(1e9, 0)
	value := func(string) float64 { return 0.002 }
	for b.Loop() {
		now = now.Add(Tick)
		e.Step(now, value, func(Fired) bool { return true })
	}
}

// A recorder that is armed in the middle of an incident, and knows nothing of the host, fires where the vital has a
// ceiling: it would take the incident for usual.
func TestArmedInTheMiddle(t *testing.T) {
	for _, c := range []struct {
		expr  string
		value float64
		want  bool
	}{
		{"retrans.ratio > 3x for 1500ms", 0.2, true},
		{"retrans.ratio > 3x for 1500ms", 0.1, false}, // a bad network, and what is usual of it is learned
		{"forward.waiting > 5x for 500ms", 21, true},
		{"forward.waiting > 5x for 500ms", 19, false},
		{"syn_recv > 5x", 100_000, false}, // a busy host's may be
	} {
		tr, err := Parse(c.expr, theirs)
		if err != nil {
			t.Fatal(err)
		}
		set, fired := NewSet([]*Trigger{tr}, Policy{}, nil), false
		for at := time.Duration(0); at < 5*time.Minute; at += Tick {
			set.Step(start.Add(at), func(string) float64 { return c.value }, func(Fired) bool { fired = fired || at <= 2*time.Second; return true })
		}
		if fired != c.want {
			t.Errorf("%s at %v from the first tick on: fired %v, want %v", c.expr, c.value, fired, c.want)
		}
	}
	for vital, most := range ceilings {
		if c := (&Condition{Vital: vital, Unit: theirs[vital]}); most < floor(c) {
			t.Errorf("%s has a ceiling of %v, below its floor of %v", vital, most, floor(c))
		}
	}
}

// What rises steadily from nothing fires, however soon after arming it begins and however slowly it rises.
func TestSteadyRise(t *testing.T) {
	for _, begin := range []time.Duration{10 * time.Second, 30 * time.Second, time.Minute, 10 * time.Minute} {
		for _, rate := range []float64{4, 20, 200} {
			set := NewSet([]*Trigger{parsed(t, "syn_recv > 5x for 2s")}, Policy{}, nil)
			var fired time.Duration
			for at := time.Duration(0); at < 20*time.Minute && fired == 0; at += Tick {
				v := max(0, rate*(at-begin).Seconds())
				set.Step(start.Add(at), func(string) float64 { return v }, func(Fired) bool { fired = at; return true })
			}
			// 250 are reached then, and half of the time since arming is not looked at.
			reached := begin + time.Duration(250/rate*float64(time.Second))
			if want := reached-begin < max(5*time.Second, begin/2); want && (fired == 0 || fired > reached+3*time.Second) {
				t.Errorf("%v/s from %v on: fired at %v, and was above its least limit from %v on", rate, begin, fired, reached)
			}
		}
	}
}
