package trigger

import (
	"encoding/json"
	"fmt"
	"reflect"
	"strings"
	"testing"
	"time"
	"unsafe"
)

// start is when the stories of these tests begin.
var start = time.Date(2026, 1, 2, 0, 0, 0, 0, time.UTC)

// Each step is a firing of one trigger, by its letter; a capital joins a bundle.
func TestPolicy(t *testing.T) {
	const minute, hour = time.Minute, time.Hour
	type step struct {
		at    time.Duration
		who   string
		muted string        // "" allowed, "-" held back without a word
		until time.Duration // with muted
	}
	for _, c := range []struct {
		story  string
		policy Policy
		steps  []step
	}{
		{"the cooldown is each trigger's own, and counts from its bundle", Policy{Cooldown: minute}, []step{
			{0, "a", "", 0}, {30 * time.Second, "b", "", 0}, {59 * time.Second, "a", "cooldown", minute}, {minute, "a", "", 0},
		}},
		{"one word for each time that it is muted", Policy{Cooldown: minute}, []step{
			{0, "a", "", 0}, {1, "a", "cooldown", minute}, {2, "a", "-", 0}, {minute, "a", "", 0}, {minute + 1, "a", "cooldown", 2 * minute},
		}},
		{"what joins is in a bundle: it costs none, is never held back, and cools down", Policy{Cooldown: minute, MaxPerDay: 1}, []step{
			{0, "a", "", 0}, {1, "A", "", 0}, {2, "B", "", 0}, {3, "b", "cooldown", minute + 2}, {2 * minute, "b", "", 0},
		}},
		{"the day's budget is each trigger's own", Policy{MaxPerDay: 2}, []step{
			{0, "a", "", 0}, {hour, "a", "", 0}, {2 * hour, "a", "max-per-day", day}, {2 * hour, "b", "", 0}, {3 * hour, "b", "", 0},
			{4 * hour, "b", "max-per-day", day + 2*hour}, {day - 1, "a", "-", 0}, {day, "a", "", 0}, {day + 1, "a", "max-per-day", day + hour},
		}},
		{"of three budgets together there is one bundle in reserve for whom has not fired", Policy{MaxPerDay: 1}, []step{
			{0, "a", "", 0}, {1, "b", "", 0}, {2, "c", "", 0}, {3, "d", "", 0}, {4, "e", "", 0}, {5, "e", "max-per-day", day + 4},
		}},
		{"and past them nobody has a second", Policy{MaxPerDay: 2}, []step{
			{0, "a", "", 0}, {1, "a", "", 0}, {2, "b", "", 0}, {3, "b", "", 0}, {4, "c", "", 0}, {5, "c", "", 0},
			{6, "d", "", 0}, {7, "d", "max-per-day", day + 1}, {day, "d", "-", 0}, {day + 1, "d", "", 0},
		}},
		{"no cap", Policy{}, []step{{0, "a", "", 0}, {0, "a", "", 0}, {1, "a", "", 0}}},
	} {
		s := NewSet(nil, c.policy, nil)
		suppressed := 0
		for i, step := range c.steps {
			who := strings.ToLower(step.who)
			ok, muted := s.Allow(who, start.Add(step.at), who != step.who)
			if ok != (step.muted == "") || (muted != nil) != (step.muted != "" && step.muted != "-") {
				t.Errorf("%s: step %d: %v, %+v", c.story, i, ok, muted)
			}
			if muted != nil && (muted.Reason != step.muted || !muted.Until.Equal(start.Add(step.until)) || muted.Trigger != who) {
				t.Errorf("%s: step %d: %+v, want until %v by %s", c.story, i, muted, start.Add(step.until), step.muted)
			}
			if !ok {
				suppressed++
			}
		}
		if s.Suppressed != suppressed {
			t.Errorf("%s: %d held back, want %d", c.story, s.Suppressed, suppressed)
		}
	}
}

// That conditions begin is told at the tick that is Since of what fires later, and not again for what dances on its limit.
func TestBegan(t *testing.T) {
	high, err := Parse("syn_recv > 10 for 1s", Vitals{"syn_recv": "1"})
	if err != nil {
		t.Fatal(err)
	}
	s := NewSet([]*Trigger{high}, Policy{}, nil)
	var told []time.Duration
	var since time.Duration
	for n := range 200 {
		at := time.Duration(n) * Tick
		v := 0.0
		switch {
		case at >= 20*time.Second && at < 28*time.Second && n%2 == 0, at >= 45*time.Second:
			v = 20
		}
		s.Step(start.Add(at), func(string) float64 { return v }, func(f Fired) bool { since = f.Since.Sub(start); return true })
		if s.Began(start.Add(at)) {
			told = append(told, at)
		}
	}
	if want := []time.Duration{20 * time.Second, 45 * time.Second}; !reflect.DeepEqual(told, want) || since != want[1] {
		t.Errorf("told at %v, fired since %v, want %v", told, since, want)
	}
}

// A trigger that flaps through a day leaves every other its bundles.
func TestFlappingMutesItself(t *testing.T) {
	s := NewSet(nil, Policy{Cooldown: 5 * time.Minute, MaxPerDay: 20}, nil)
	flaps, rare := 0, 0
	for at := time.Duration(0); at < day; at += 10 * time.Second {
		if ok, _ := s.Allow("flap", start.Add(at), false); ok {
			flaps++
		}
		if at%(2*time.Hour) == time.Hour {
			if ok, _ := s.Allow("rare", start.Add(at), false); ok {
				rare++
			}
		}
	}
	if flaps != 20 || rare != 12 {
		t.Errorf("%d bundles of what flaps and %d of the rare one, want 20 and 12", flaps, rare)
	}
}

// A set that begins where another ended answers as that would have.
func TestSpentSurvives(t *testing.T) {
	policy := Policy{Cooldown: time.Minute, MaxPerDay: 2}
	s := NewSet(nil, policy, nil)
	for i, who := range []string{"a", "a", "b", "old"} {
		s.Allow(who, start.Add(time.Duration(i)*time.Hour), false)
	}
	now := start.Add(3*time.Hour + time.Second)
	again := NewSet(nil, policy, s.Spent(now))
	for _, who := range []string{"a", "b", "old", "new"} {
		ok, muted := s.Allow(who, now, false)
		gotOK, gotMuted := again.Allow(who, now, false)
		if ok != gotOK || !reflect.DeepEqual(muted, gotMuted) {
			t.Errorf("%s: %v %+v, and before the restart %v %+v", who, gotOK, gotMuted, ok, muted)
		}
	}
	if left := again.Spent(start.Add(3 * day)); len(left) != 0 {
		t.Errorf("after three days there is %v left", left)
	}
}

// setBack gives the same moment as time.Now does after the clock was set back by whole seconds: the wall clock's seconds are above
// 30 bits of nanoseconds, beside a reading of the monotonic clock, and no constructor gives the two apart.
func setBack(t *testing.T, now time.Time, by time.Duration) time.Time {
	t.Helper()
	was := now
	*(*uint64)(unsafe.Pointer(&now)) -= uint64(by/time.Second) << 30
	if got := was.Round(0).Sub(now.Round(0)); got != by || now.Sub(was) != 0 {
		t.Fatalf("set back by %v in place of %v", got, by)
	}
	return now
}

// What is spent has an age, which no setting of the clock changes: not before a restart, when it would be of the future on disk, and all
// of the file with it, nor after, when a cooldown of minutes would last for hours.
func TestSpentOnAClockThatIsSet(t *testing.T) {
	policy := Policy{Cooldown: 5 * time.Minute, MaxPerDay: 20}
	s, fired := NewSet(nil, policy, nil), time.Now()
	s.Allow("a", fired, false)
	now := setBack(t, fired.Add(10*time.Second), time.Hour)
	text, err := json.Marshal(s.Spent(now))
	if err != nil {
		t.Fatal(err)
	}
	var kept map[string]Spent
	if err := json.Unmarshal(text, &kept); err != nil || !kept["a"].Last.Equal(now.Round(0).Add(-10*time.Second)) || !kept["a"].Bundles[0].Equal(kept["a"].Last) {
		t.Fatalf("kept %s at %v: %v", text, now, err)
	}
	again := NewSet(nil, policy, map[string]Spent{"a": kept["a"].On(now)})
	for after, want := range map[time.Duration]bool{4 * time.Minute: false, 6 * time.Minute: true} {
		if ok, _ := again.Allow("a", setBack(t, now.Add(after), 10*time.Hour), false); ok != want {
			t.Errorf("%v after a restart, the clock set back by ten hours: %v", after, ok)
		}
	}
	if ahead := (Spent{Last: now.Add(time.Minute)}).On(now); !ahead.Last.Equal(now) {
		t.Errorf("of the future: %v at %v", ahead.Last, now)
	}
}

// What was held back is told until a bundle has told it.
func TestHeldBack(t *testing.T) {
	s := NewSet(nil, Policy{Cooldown: time.Minute}, nil)
	for i := range 4 {
		s.Allow("a", start.Add(time.Duration(i)*time.Second), false)
	}
	tell := func(at time.Duration) (all []Held, words string) {
		all = s.HeldBack(start.Add(at))
		for _, h := range all {
			words += fmt.Sprintf("%s %d since %v until %v;", h.Trigger, h.Count, h.Since.Sub(start), h.Until.Sub(start))
		}
		return all, words
	}
	const want = "a 3 since 1s until 1m0s;"
	all, words := tell(4 * time.Second)
	if words != want {
		t.Errorf("%q, want %q", words, want)
	}
	s.Allow("a", start.Add(5*time.Second), false)
	s.Told(all)
	if _, words := tell(6 * time.Second); words != "a 1 since 1s until 1m0s;" {
		t.Errorf("%q, want the one that came after the telling", words)
	}
	if _, words := tell(2 * time.Minute); words == "" {
		t.Error("what was not told is forgotten when the time is over")
	}
	all, _ = tell(2 * time.Minute)
	s.Told(all)
	if _, words := tell(2 * time.Minute); words != "" {
		t.Errorf("%q is told for ever", words)
	}
}
