package trigger

import (
	"fmt"
	"math"
	"time"
)

const (
	// A trigger that has fired is armed again when the value has come back by a tenth
	// of the limit: a vital that dances on its limit makes one bundle, not twenty.
	hysteresis = 0.9
	// slack is what a hold may lack: ticks lie a few milliseconds nearer or farther apart, and eight
	// of them are two seconds all the same.
	slack = Tick / 2
	// longestTick is how much time one tick can stand for: rates are those of the last
	// second. A recorder that was starved for a minute has not seen that minute, and a wall
	// clock that was set by an hour has not lasted one.
	longestTick = time.Second
	// goesOn is how long a condition that has fired is left alone at least. Within it the
	// window of its bundle has hardly ended.
	goesOn = time.Minute
)

// Fired says that a trigger's conditions have held for their times.
type Fired struct {
	Trigger *Trigger
	Time    time.Time // of the tick
	Since   time.Time // of the tick from which on all conditions held
	Value   float64   // of the first condition's vital at Time, in its unit
	Limit   float64   // the limit in force for it; factor times baseline for factors
	// Again says that the same condition was asked about before: it was refused then, or it
	// made a bundle and goes on. Refusing it once more holds nothing new back.
	Again bool
}

// Eval is the state of one trigger along a timeline.
type Eval struct {
	trigger *Trigger
	terms   []term
	last    time.Time // tick
	seen    bool      // it did not hold at a measured tick since armed
	asked   bool      // about the condition that goes on
	age     time.Duration
	next    time.Duration // age at which it is asked about
	worst   bool          // see NewWorst
	begun   time.Time     // when a begin of its conditions was last told, see Set.Began
	cold    bool          // what it has seen so far counts until it knows what is usual, see soFar
}

// term is the state of one condition.
type term struct {
	*Condition
	over  bool
	since time.Time     // over
	held  time.Duration // of measured time
	base  Baseline      // only learned where the condition has a factor
	value float64
	limit float64 // in force at the last tick
}

// NewEval gives an evaluation that has seen nothing yet.
func NewEval(t *Trigger) *Eval {
	e := &Eval{trigger: t, terms: make([]term, len(t.Conditions))}
	for i := range e.terms {
		e.terms[i] = term{Condition: &t.Conditions[i], value: math.NaN(), limit: math.NaN()}
		e.terms[i].base.floor = floor(&t.Conditions[i])
	}
	return e
}

// NewWorst gives an evaluation that fires wherever one with another past might: baselines
// that are not known lie at their floors, and what holds at the first tick has held for ever.
// Where it stays silent no recorder would have fired, whatever it had seen before.
func NewWorst(t *Trigger) *Eval {
	e := NewEval(t)
	e.worst, e.seen = true, true
	return e
}

// Step takes the vitals' values at time now, NaN where one was not measured. Where the
// conditions have held for their times it asks take whether the trigger fires, and keeps
// asking at every tick until take says yes or the conditions end. From then on a condition
// that goes on is asked about when it has become twice as old: an outage of an hour makes
// some bundles, not one for each cooldown.
//
// A tick without a value neither holds nor clears: it ends the hold, because a trigger
// promises to fire on what was measured.
func (e *Eval) Step(now time.Time, value func(vital string) float64, take func(Fired) bool) {
	first := e.last.IsZero()
	elapsed := min(max(now.Sub(e.last), 0), longestTick)
	if first {
		elapsed = 0
	}
	e.last = now
	holds, unusual, clear := true, true, false
	for i := range e.terms {
		t := &e.terms[i]
		t.step(now, elapsed, value(t.Vital), e)
		if first && e.worst {
			t.held = t.For
		}
		holds = holds && t.over && t.held >= t.For-slack
		unusual = unusual && t.unusual()
		clear = clear || t.clear()
	}
	if unusual {
		e.keep(now)
	}
	if clear {
		e.seen, e.asked, e.age, e.next = true, false, 0, 0
		return
	}
	if e.asked {
		e.age += elapsed
	}
	// Who arms a recorder while connections fail wants that bundle. But what lies below a limit
	// before the first client has come has not fallen.
	if !holds || e.age < e.next || !e.seen && e.trigger.Falling() {
		return
	}
	f := e.fired(now)
	e.asked = true
	if take(f) {
		e.next = e.age + max(e.age, goesOn)
	}
}

// keep notes at what all conditions hold now beyond what is usual, whether that is a habit by now or not.
func (e *Eval) keep(now time.Time) {
	for i := range e.terms {
		if t := &e.terms[i]; t.habitual() {
			t.base.habit.keep(now)
		}
	}
}

// habitual says whether a condition has habits.
func (t *term) habitual() bool { return t.Factor && t.Above }

// unusual says whether the condition holds but for what is a habit.
func (t *term) unusual() bool {
	if t.habitual() {
		return t.base.habit.full(t.For)
	}
	return t.over && t.held >= t.For-slack
}

// begins says whether all conditions hold, and the last of them since this tick.
func (e *Eval) begins(now time.Time) bool {
	latest := false
	for i := range e.terms {
		t := &e.terms[i]
		if !t.over {
			return false
		}
		latest = latest || t.since.Equal(now)
	}
	return latest
}

func (e *Eval) fired(now time.Time) Fired {
	f := Fired{Trigger: e.trigger, Time: now, Value: e.terms[0].value, Limit: e.terms[0].limit, Again: e.asked}
	for i := range e.terms {
		if since := e.terms[i].since; since.After(f.Since) {
			f.Since = since
		}
	}
	return f
}

func (t *term) step(now time.Time, elapsed time.Duration, v float64, e *Eval) {
	t.value = v
	if math.IsNaN(v) {
		t.over, t.held = false, 0
		t.base.habit.look(0, v, false)
		return
	}
	// Before this value is learned: a factor measures it against what was usual until now.
	armed := true
	t.limit = t.Limit
	if t.Factor {
		t.limit, armed = t.Limit*t.base.Usual(now), t.base.Ready()
		switch {
		case armed:
		case e.worst:
			t.limit, armed = t.Limit*t.base.floor, true
		case e.cold:
			most, some := t.base.soFar(now)
			least := ceiling(t.Condition)
			if some {
				least = min(most, least)
			}
			// With a ceiling it is armed from the first tick on.
			t.limit, armed = t.Limit*least, !math.IsInf(least, 1)
		}
	}
	was := t.over
	unusual := armed && t.beyond(v, 1)
	if t.over = unusual; t.habitual() {
		t.base.habit.look(elapsed, v, unusual)
		without := t.limit
		if t.base.Ready() {
			without = t.Limit * t.base.settled()
		}
		t.limit = t.base.habit.limit(now, t.limit, without)
		t.over = armed && t.beyond(v, 1)
	}
	switch {
	case !t.over:
		t.held = 0
	case was:
		t.held += elapsed
	default:
		t.since, t.held = now, 0
	}
	if t.Factor {
		t.base.learn(now, elapsed, v, unusual)
	}
}

// beyond says whether a value is on the far side of the limit, which scale draws nearer.
func (t *term) beyond(v, scale float64) bool {
	if t.Above {
		return v > t.limit*scale
	}
	return v < t.limit/scale
}

// clear says whether the value was measured, and has come back.
func (t *term) clear() bool {
	return !t.over && !math.IsNaN(t.value) && !t.beyond(t.value, hysteresis)
}

// Lacks says which baseline is not known yet; nothing where none is missing.
func (e *Eval) Lacks() string {
	for i := range e.terms {
		if t := &e.terms[i]; t.Factor && !t.base.Ready() {
			return fmt.Sprintf("the baseline of %s has seen %.3g s with a value, and needs %d", t.Vital, t.base.seen(), needed)
		}
	}
	return ""
}
