package trigger

import (
	"math"
	"strings"
	"testing"
	"time"
)

func units(vital string) (string, bool) {
	unit, ok := map[string]string{
		"rtt.p99": "s", "syn_recv": "1", "conntrack.fill": "ratio", "tcp.mem": "B", "listen.overflows": "1/s",
	}[vital]
	return unit, ok
}

func TestParse(t *testing.T) {
	for expr, want := range map[string]Trigger{
		"rtt.p99 > 200ms for 2s":   {Vital: "rtt.p99", Unit: "s", Above: true, Limit: 0.2, For: 2 * time.Second},
		"syn_recv>250":             {Vital: "syn_recv", Unit: "1", Above: true, Limit: 250},
		"conntrack.fill > 80%":     {Vital: "conntrack.fill", Unit: "ratio", Above: true, Limit: 0.8},
		"tcp.mem < 64MiB for 1m":   {Vital: "tcp.mem", Unit: "B", Limit: 64 << 20, For: time.Minute},
		"rtt.p99 > 5x for 1s":      {Vital: "rtt.p99", Unit: "s", Above: true, Limit: 5, Factor: true, For: time.Second},
		"  listen.overflows  >  0": {Vital: "listen.overflows", Unit: "1/s", Above: true},
	} {
		got, err := Parse(expr, units)
		if err != nil {
			t.Errorf("Parse(%q): %v", expr, err)
			continue
		}
		want.Expr = got.Expr
		if *got != want {
			t.Errorf("Parse(%q) = %+v, want %+v", expr, *got, want)
		}
		again, err := Parse(got.Expr, units)
		if err != nil || *again != *got {
			t.Errorf("Parse(%q) of the folded form: %+v, %v", got.Expr, again, err)
		}
	}
}

func TestParseRefuses(t *testing.T) {
	for expr, says := range map[string]string{
		"":                         "want VITAL > LIMIT",
		"rtt.p99":                  "want VITAL > LIMIT",
		"rtt.p98 > 1s":             `unknown vital "rtt.p98"`,
		"rtt.p99 = 1s":             "want > or <",
		"rtt.p99 > 200":            "want a duration",
		"syn_recv > many":          "want a number",
		"syn_recv > NaN":           "want a number",
		"syn_recv > 10%":           "percentage",
		"syn_recv > 250 for":       "want VITAL > LIMIT",
		"syn_recv > 250 in 2s":     `want "for"`,
		"syn_recv > 250 for ever":  "hold time",
		"syn_recv > 250 for -2s":   "hold time",
		"syn_recv < 5x":            "goes with > only",
		"syn_recv > 1x":            "more than 1x",
		"syn_recv > 250 for 2s 3s": "want VITAL > LIMIT",
	} {
		_, err := Parse(expr, units)
		if err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("Parse(%q): error %v, want one that says %q", expr, err, says)
		}
	}
}

const tick = 250 * time.Millisecond

// run steps an expression along values, one a tick, and gives the ticks at which it fired.
func run(t *testing.T, expr string, values ...float64) []int {
	t.Helper()
	parsed, err := Parse(expr, units)
	if err != nil {
		t.Fatal(err)
	}
	e := NewEval(parsed)
	var fired []int
	for i, v := range values {
		if _, ok := e.Step(time.Unix(1000, 0).Add(time.Duration(i)*tick), v); ok {
			fired = append(fired, i)
		}
	}
	return fired
}

func TestEval(t *testing.T) {
	nan := math.NaN()
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
		{"below", "tcp.mem < 10", []float64{11, 9, 10.5, 9, 12, 9}, []int{1, 5}},
		{"an event after none", "listen.overflows > 0", []float64{0, 0, 4, 0, 4}, []int{2, 4}},
	} {
		if got := run(t, c.expr, c.values...); !equal(got, c.want) {
			t.Errorf("%s: %s on %v fired at %v, want %v", c.story, c.expr, c.values, got, c.want)
		}
	}
}

// A factor learns for a minute, does not learn the incident itself, and has a floor.
func TestEvalFactor(t *testing.T) {
	quiet := make([]float64, 241) // one minute
	for i := range quiet {
		quiet[i] = 40
	}
	if got := run(t, "syn_recv > 5x", append(quiet[:200:200], 500)...); got != nil {
		t.Errorf("fired at %v before the baseline was a minute old", got)
	}
	values := append(quiet[:241:241], 199, 201, 201, 201, 30, 220)
	if got, want := run(t, "syn_recv > 5x", values...), []int{242, 246}; !equal(got, want) {
		t.Errorf("fired at %v, want %v", got, want)
	}
	idle := append(make([]float64, 241), 49, 51) // five times the floor of 10
	if got, want := run(t, "syn_recv > 5x", idle...), []int{242}; !equal(got, want) {
		t.Errorf("on an idle host it fired at %v, want %v", got, want)
	}
}

func equal(a, b []int) bool {
	if len(a) != len(b) {
		return false
	}
	for i := range a {
		if a[i] != b[i] {
			return false
		}
	}
	return true
}

func FuzzParse(f *testing.F) {
	f.Add("rtt.p99 > 200ms for 2s")
	f.Add("syn_recv>5x")
	f.Fuzz(func(t *testing.T, expr string) {
		got, err := Parse(expr, units)
		if err != nil {
			return
		}
		if again, err := Parse(got.Expr, units); err != nil || *again != *got {
			t.Errorf("Parse(%q) does not read its own form %q: %v", expr, got.Expr, err)
		}
	})
}
