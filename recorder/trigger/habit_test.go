package trigger

import (
	"encoding/json"
	"slices"
	"testing"
	"time"

	"github.com/spikebox/spikebox/format"
)

// What a clock starts and a few seconds later is over, told as days of one vital. 20 is calm, 250 the limit, five times the least
// that is usual.
func TestHabitStories(t *testing.T) {
	const s, m, h, day = time.Second, time.Minute, time.Hour, 24 * time.Hour
	// job gives its value on each of the days, from a time of day on.
	job := func(at, of time.Duration, values ...float64) float64 {
		if n := int(at / day); n < len(values) && at%day >= of && at%day < of+4*s {
			return values[n]
		}
		return 20
	}
	for story, c := range map[string]struct {
		days  time.Duration
		value func(at time.Duration) float64
		want  []time.Duration
	}{
		"a job each night that is a little over the limit is news once": {5, func(at time.Duration) float64 {
			return job(at, 4*h, 275, 300, 200, 275, 325)
		}, []time.Duration{4*h + 2*s}},
		"one that is far over it is news twice": {5, func(at time.Duration) float64 {
			return job(at, 4*h, 1000, 1050, 975, 1250, 1375)
		}, []time.Duration{4*h + 2*s, day + 4*h + 2*s}},
		"it may come some minutes later, past midnight": {3, func(at time.Duration) float64 {
			return within(at, day-m, day-m+4*s, 275, within(at, 2*day+2*m, 2*day+2*m+4*s, 300, 20))
		}, []time.Duration{day - m + 2*s}},
		"twice as much is news": {4, func(at time.Duration) float64 {
			return job(at, 4*h, 1000, 1050, 975, 2000)
		}, []time.Duration{4*h + 2*s, day + 4*h + 2*s, 3*day + 4*h + 2*s}},
		"an hour later it is news": {4, func(at time.Duration) float64 {
			if at >= 3*day {
				return job(at, 5*h, 0, 0, 0, 1000)
			}
			return job(at, 4*h, 1000, 1050, 975)
		}, []time.Duration{4*h + 2*s, day + 4*h + 2*s, 3*day + 5*h + 2*s}},
		"what no hold was filled by is no habit": {3, func(at time.Duration) float64 {
			if tod := at % day; at < 2*day && tod >= 4*h && tod < 4*h+s {
				return 2000
			}
			return job(at, 4*h, 20, 20, 1000)
		}, []time.Duration{2*day + 4*h + 2*s}},
		"who is over the limit all the time has no habits": {3, func(at time.Duration) float64 {
			if at < 2*day && at%(6*m) < 4*s {
				return 1000
			}
			return job(at, 4*h, 20, 20, 1000)
		}, nil},
	} {
		_, got := along(t, c.days*day, c.value)
		if c.want == nil { // it fires at each, and at the last
			got, c.want = got[len(got)-1:], []time.Duration{2*day + 4*h + 2*s}
		}
		if !slices.Equal(got, c.want) {
			t.Errorf("%s: fired at %v, want %v", story, got, c.want)
		}
	}
}

// A recorder that starts again knows the habits, too; of the future there is none.
func TestHabitSurvives(t *testing.T) {
	const day = 24 * time.Hour
	e, _ := along(t, 2*day+time.Hour, func(at time.Duration) float64 {
		return within(at%day, 0, 4*time.Second, 1000, 20)
	})
	old := Set{evals: []*Eval{e}}
	text, err := json.Marshal(old.Baselines(e.last))
	if err != nil {
		t.Fatal(err)
	}
	var all []format.Baseline
	if err := json.Unmarshal(text, &all); err != nil || len(all[0].Habits) < 2 {
		t.Fatalf("%s, %v", text, err)
	}
	fresh := NewEval(parsed(t, "syn_recv > 5x for 2s"))
	if err := fresh.Recall(&all[0], e.last); err != nil {
		t.Fatal(err)
	}
	got, want := fresh.terms[0].state(e.last), e.terms[0].state(e.last)
	if !slices.Equal(got.Habits, want.Habits) {
		t.Errorf("recalled %v, want %v", got.Habits, want.Habits)
	}
	all[0].Habits[0].Time = e.last.Add(time.Hour)
	if err := fresh.Recall(&all[0], e.last); err == nil {
		t.Error("a habit of the future is taken")
	}
	// Before the clock was set back it was none.
	set := e.last.Add(-20 * time.Hour)
	known := e.terms[0].state(set)
	if err := NewEval(e.trigger).Recall(&known, set); err != nil || len(known.Habits) != len(want.Habits)-1 {
		t.Errorf("after the clock was set back by 20 h %d habits of %d are kept: %v", len(known.Habits), len(want.Habits), err)
	}
}
