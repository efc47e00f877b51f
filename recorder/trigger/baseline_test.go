package trigger

import (
	"encoding/json"
	"math"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/spikebox/spikebox/format"
)

// along steps a factor of five, which must hold for two seconds, along a vital's values, and
// gives the evaluation and when it fired; what goes on is one firing.
func along(t *testing.T, span time.Duration, value func(at time.Duration) float64) (e *Eval, fired []time.Duration) {
	t.Helper()
	e = NewEval(parsed(t, "syn_recv > 5x for 2s"))
	start := time.Date(2026, 1, 5, 0, 0, 0, 0, time.UTC) // a Monday
	for at := time.Duration(0); at < span; at += Tick {
		e.Step(start.Add(at), func(string) float64 { return value(at) }, func(f Fired) bool {
			if !f.Again {
				fired = append(fired, at.Truncate(time.Second))
			}
			return true
		})
	}
	return e, fired
}

// within gives v between two times and otherwise elsewhere.
func within(at, from, to time.Duration, v, elsewhere float64) float64 {
	if at >= from && at < to {
		return v
	}
	return elsewhere
}

// What a baseline must survive, told as days of one vital. 20 is calm, 5 × 20 = 100 the limit.
func TestBaselineStories(t *testing.T) {
	const s, m, h = time.Second, time.Minute, time.Hour
	for story, c := range map[string]struct {
		span  time.Duration
		value func(at time.Duration) float64
		want  []time.Duration
	}{
		"it is not seeded by the first tick": {10 * m, func(at time.Duration) float64 {
			return within(at, 0, s, 600, within(at, 3*m, 3*m+5*s, 400, 1))
		}, []time.Duration{3*m + 2*s}},
		"before it knows what is usual it is silent": {81 * s, func(at time.Duration) float64 {
			return within(at, m, m+10*s, 4000, 20)
		}, nil},
		"time without traffic teaches nothing": {8 * h, func(at time.Duration) float64 {
			return within(at, m, 8*h-10*s, nan, within(at, 8*h-10*s, 8*h, 4000, 20))
		}, nil},
		"a quiet night that becomes a day within twenty minutes is no incident, and it hears one after": {12 * h, func(at time.Duration) float64 {
			day := 20 * (1 + 9*math.Min(math.Max(float64(at-8*h)/float64(20*m), 0), 1))
			return within(at, 10*h, 10*h+5*s, 2000, day)
		}, []time.Duration{10*h + 2*s}},
		"a client that is slow and stays is news once, and makes nobody deaf": {5 * h, func(at time.Duration) float64 {
			v := within(at, h, 5*h, 600, 20)
			return within(at, 3*h, 3*h+5*s, 5000, within(at, 4*h, 4*h+5*s, 5000, v))
		}, []time.Duration{h + 2*s, 3*h + 2*s, 4*h + 2*s}},
		"a day that begins at once is news twice, and then usual": {5 * 24 * h, func(at time.Duration) float64 {
			return within(at%(24*h), 8*h, 20*h, 600, 20)
		}, []time.Duration{8*h + 2*s, 32*h + 2*s}},
		"what is a little over the limit each night is news once": {5 * 24 * h, func(at time.Duration) float64 {
			return within(at%(24*h), 2*h, 2*h+30*m, 400, 20)
		}, []time.Duration{2*h + 2*s}},
		"nor is it news after a weekend": {8 * 24 * h, func(at time.Duration) float64 {
			if weekday := at / (24 * h) % 7; weekday >= 5 {
				return 20
			}
			return within(at%(24*h), 8*h, 20*h, 600, 20)
		}, []time.Duration{8*h + 2*s, 32*h + 2*s}},
		"an incident is no usual hour of the days after": {3 * 24 * h, func(at time.Duration) float64 {
			return within(at, 32*h, 33*h, 2000, within(at, 56*h, 56*h+5*s, 2000, 20))
		}, []time.Duration{32*h + 2*s, 56*h + 2*s}},
		"five incidents in an hour are five": {3 * h, func(at time.Duration) float64 {
			if at < 2*h {
				return 20
			}
			return within(at%(12*m), m, m+20*s, 2000, 20)
		}, []time.Duration{2*h + m + 2*s, 2*h + 13*m + 2*s, 2*h + 25*m + 2*s, 2*h + 37*m + 2*s, 2*h + 49*m + 2*s}},
	} {
		_, got := along(t, c.span, c.value)
		if len(got) != len(c.want) {
			t.Errorf("%s: fired at %v, want %v", story, got, c.want)
			continue
		}
		for i := range got {
			if got[i] != c.want[i] {
				t.Errorf("%s: fired at %v, want %v", story, got, c.want)
				break
			}
		}
	}
}

// What is usual is nine tenths of the ticks, within a bin and the allowance for uncertainty.
func TestUsual(t *testing.T) {
	e, _ := along(t, 3*time.Hour, func(at time.Duration) float64 { return 100 + float64(at/Tick*7919%1000) })
	if got := e.terms[0].base.Usual(e.last); got < 1000 || got > 1030*math.Exp2(1.0/binsPerOctave) {
		t.Errorf("usual of 100 to 1100 is %v", got)
	}
	if got := e.terms[0].base.seen(); got < 1190 || got > 1210 {
		t.Errorf("seen %v s of three hours, want those of memory", got)
	}
}

// A recorder that starts again knows what it knew, through JSON; what is not its own it
// refuses, and keeps nothing of it.
func TestBaselineSurvives(t *testing.T) {
	e, _ := along(t, 26*time.Hour, func(at time.Duration) float64 { return 40 + float64(at/Tick%3) })
	old := Set{evals: []*Eval{e}}
	text, err := json.Marshal(old.Baselines(e.last))
	if err != nil {
		t.Fatal(err)
	}
	read := func(change func(b *format.Baseline)) []format.Baseline {
		var all []format.Baseline
		if err := json.Unmarshal(text, &all); err != nil || len(all) != 1 {
			t.Fatalf("%d baselines, %v", len(all), err)
		}
		change(&all[0])
		return all
	}
	now := e.last.Add(time.Minute)
	fresh := NewSet([]*Trigger{parsed(t, "syn_recv > 10x"), parsed(t, "syn_recv > 5"), parsed(t, "rtt.p99 > 5x")}, Policy{}, nil)
	if refused := fresh.Recall(read(func(*format.Baseline) {}), now); len(refused) != 0 {
		t.Fatal(refused)
	}
	got, want := fresh.Baselines(now)[0], old.Baselines(now)[0]
	if math.Abs(got.Seen-want.Seen) > 1 || got.Usual != want.Usual || len(got.Bins) != len(want.Bins) || len(got.Hours) != len(want.Hours) || len(got.Hours) < 24 {
		t.Errorf("recalled %+v, want %+v", got, want)
	}
	for says, change := range map[string]func(b *format.Baseline){
		"it has version 2":      func(b *format.Baseline) { b.Version = 2 },
		`it is in "s"`:          func(b *format.Baseline) { b.Unit = "s" },
		"it is from the future": func(b *format.Baseline) { b.Time = now.Add(time.Hour) },
		"more than 7 days ago":  func(b *format.Baseline) { b.Time = now.Add(-8 * 24 * time.Hour) },
		"it has a bin of -1 s":  func(b *format.Baseline) { b.Bins[0].Seconds = -1 },
		"more than one can": func(b *format.Baseline) {
			b.Bins[0].Seconds = stateSeconds
			b.Bins = append(b.Bins, b.Bins[0])
		},
		"it has hour 24":       func(b *format.Baseline) { b.Hours[0].Hour = 24 },
		"it has hour 0 of day": func(b *format.Baseline) { b.Hours[0].Day = -1 },
	} {
		fresh := NewSet([]*Trigger{parsed(t, "syn_recv > 10x")}, Policy{}, nil)
		refused := fresh.Recall(read(change), now)
		if len(refused) != 1 || !strings.Contains(refused[0].Error(), says) {
			t.Errorf("%v, want an error that says %q", refused, says)
		}
		if known := fresh.Baselines(now)[0]; known.Seen != 0 || known.Hours != nil {
			t.Errorf("%s: it kept %+v", says, known)
		}
	}
}

// Weights grow with time and are put back before they leave a float's range.
func TestRenormalise(t *testing.T) {
	var b Baseline
	b.gain = renormalise / 2
	now := time.Unix(1e9, 0)
	for range 40_000 {
		now = now.Add(time.Second)
		b.learn(now, time.Second, 5, false)
	}
	if b.gain > renormalise || math.Abs(b.seen()-memory.Seconds()) > 10 || b.recent < 5 || b.recent > 5.5 {
		t.Errorf("gain %v, seen %v, usual %v", b.gain, b.seen(), b.recent)
	}
}

// Every value has a bin that holds it, below its upper edge.
func TestBins(t *testing.T) {
	for _, v := range []float64{0, -1, 1e-9, 1e-6, 0.001, 0.04, 1, 1023.9, 1e6, 1e12} {
		i := bin(v)
		if i < 0 || i >= binCount || v > edge(i) || i > 1 && v < edge(i-1) {
			t.Errorf("%v is in bin %d, which ends at %v", v, i, edge(i))
		}
	}
	if bin(math.Inf(1)) != binCount-1 || bin(1e300) != binCount-1 {
		t.Error("what is beyond the histogram is not in its last bin")
	}
}

// What rises for half a minute is no usual for itself, however little was seen before; and a
// tick that came a little early ends no hold late.
func TestRiseIsNotLearned(t *testing.T) {
	const begin = 2 * time.Minute
	_, fired := along(t, 160*time.Second, func(at time.Duration) float64 {
		return 20 + 20*max(0, (at-begin).Seconds()) // past 250, 5 times the floor, after 11.5 s
	})
	if len(fired) != 1 || fired[0] != begin+13*time.Second {
		t.Errorf("fired at %v, want at %v", fired, begin+13*time.Second)
	}
	e, start, at := NewEval(parsed(t, "syn_recv > 5 for 2s")), time.Unix(1000, 0), 0
	for tick := range 9 {
		now := start.Add(time.Duration(tick)*Tick - time.Duration(tick%2)*5*time.Millisecond - time.Duration(tick/8)*20*time.Millisecond)
		e.Step(now, func(string) float64 { return 6 }, func(Fired) bool { at = tick; return true })
	}
	if at != 8 {
		t.Errorf("fired at tick %d, want at the eighth after the first", at)
	}
}

// A recorder that was just armed goes by the largest value that it has seen, and a replay of its
// bundle by the same. Without its recorder's baseline a replay does not know.
func TestColdBaseline(t *testing.T) {
	start := time.Unix(1000, 0)
	play := func(s interface {
		Step(time.Time, func(string) float64, func(Fired) bool)
	}, span time.Duration, value func(at time.Duration) float64) (fired []time.Duration) {
		for at := time.Duration(0); at < span; at += Tick {
			s.Step(start.Add(at), func(string) float64 { return value(at) }, func(f Fired) bool {
				if !f.Again {
					fired = append(fired, at)
				}
				return true
			})
		}
		return fired
	}
	triggers := []*Trigger{parsed(t, "syn_recv > 5x for 2s")}
	const s = time.Second
	for story, c := range map[string]struct {
		value func(at time.Duration) float64
		want  []time.Duration
	}{
		"an incident on the first day":       {func(at time.Duration) float64 { return within(at, 10*s, 15*s, 900, 100) }, []time.Duration{12 * s}},
		"four times what was seen":           {func(at time.Duration) float64 { return within(at, 10*s, 15*s, 400, 100) }, nil},
		"nothing was seen before":            {func(at time.Duration) float64 { return within(at, 3*s, 60*s, 900, nan) }, nil},
		"the first tick is the largest":      {func(at time.Duration) float64 { return within(at, Tick, 2*Tick, 300, within(at, 10*s, 15*s, 900, 100)) }, nil},
		"it goes on until it is taken usual": {func(at time.Duration) float64 { return within(at, 10*s, 60*s, 900, 100) }, []time.Duration{12 * s}},
	} {
		set := NewSet(triggers, Policy{}, nil)
		if got := play(set, 60*s, c.value); !slices.Equal(got, c.want) {
			t.Errorf("%s: fired at %v, want %v", story, got, c.want)
		}
		again := NewEval(triggers[0])
		if got := play(again, 60*s, c.value); got != nil {
			t.Errorf("%s: replayed without a baseline it fired at %v", story, got)
		}
		again = NewEval(triggers[0])
		if err := again.Recall(&NewSet(triggers, Policy{}, nil).Baselines(start)[0], start); err != nil {
			t.Fatal(err)
		}
		if got := play(again, 60*s, c.value); !slices.Equal(got, c.want) {
			t.Errorf("%s: replayed it fired at %v, want %v", story, got, c.want)
		}
	}
}
