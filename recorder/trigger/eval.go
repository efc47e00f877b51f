package trigger

import (
	"math"
	"time"

	"github.com/spikebox/spikebox/format/unit"
)

const (
	// A trigger that has fired is armed again when the value has come back by a tenth
	// of the limit: a vital that dances on its limit makes one bundle, not twenty.
	hysteresis = 0.9
	// The baseline is an exponentially weighted mean with this time constant: short
	// enough to follow the hours of a day, long enough not to learn an incident.
	baselineSpan = 5 * time.Minute
	// A factor needs a baseline of at least this long before it can fire.
	baselineWarmup = time.Minute
)

// baselineFloor keeps a factor meaningful on a quiet host, where the mean is near
// zero and any value would be many times it. By unit; other units have no floor.
var baselineFloor = map[string]float64{
	unit.Seconds:   0.010, // 10 ms: five times less than that is no incident
	unit.One:       10,
	unit.PerSecond: 10,
	unit.Ratio:     0.01,
}

// Fired says that a trigger's condition has held for its time.
type Fired struct {
	Trigger *Trigger
	Time    time.Time // of the tick at which the hold time was full
	Since   time.Time // of the tick at which the value first crossed the limit
	Value   float64   // at Time, in the vital's unit
	Limit   float64   // the limit in force, in the vital's unit; factor times baseline for factors
}

// Eval is the state of one trigger along a timeline.
type Eval struct {
	trigger *Trigger
	over    time.Time // since when the condition holds; zero when it does not
	fired   bool      // fired and not yet cleared
	base    baseline
}

// NewEval gives an evaluation that has seen nothing yet.
func NewEval(t *Trigger) *Eval { return &Eval{trigger: t} }

// Step takes the vital's value at time now, NaN where it was not measured, and says
// whether the trigger fires at this tick. A tick without a value neither holds nor
// clears: it ends the hold, because a trigger promises to fire on what was measured.
func (e *Eval) Step(now time.Time, v float64) (Fired, bool) {
	if math.IsNaN(v) {
		e.over = time.Time{}
		return Fired{}, false
	}
	// Before this value is counted: a factor measures it against what was usual until now.
	limit, armed := e.limit(now)
	holds := armed && e.beyond(v, limit)
	if !holds {
		e.over = time.Time{}
		// Only here: what is over the limit is the incident, and a baseline that learned it
		// would take it for usual before it has ended.
		e.base.add(now, v)
		if !e.beyond(v, limit*e.clearing()) {
			e.fired = false
		}
		return Fired{}, false
	}
	if e.over.IsZero() {
		e.over = now
	}
	// Fired is a latch: it is let go by the value coming back below (hysteresis above), not by
	// the hold time running again. An incident of an hour is one firing.
	if e.fired || now.Sub(e.over) < e.trigger.For {
		return Fired{}, false
	}
	e.fired = true
	return Fired{Trigger: e.trigger, Time: now, Since: e.over, Value: v, Limit: limit}, true
}

// limit is the limit in force, and whether there is one yet.
func (e *Eval) limit(now time.Time) (float64, bool) {
	if !e.trigger.Factor {
		return e.trigger.Limit, true
	}
	mean := max(e.base.mean, baselineFloor[e.trigger.Unit])
	return e.trigger.Limit * mean, e.base.ready(now)
}

func (e *Eval) beyond(v, limit float64) bool {
	if e.trigger.Above {
		return v > limit
	}
	return v < limit
}

// clearing is the factor on the limit at which a fired trigger is armed again.
func (e *Eval) clearing() float64 {
	if e.trigger.Above {
		return hysteresis
	}
	return 1 / hysteresis
}

// baseline is an exponentially weighted mean over time, not over ticks: a recorder
// that was stopped for a while weighs the old values accordingly less.
type baseline struct {
	first, last time.Time
	mean        float64
}

func (b *baseline) add(now time.Time, v float64) {
	if b.first.IsZero() {
		b.first, b.last, b.mean = now, now, v
		return
	}
	weight := 1 - math.Exp(-float64(now.Sub(b.last))/float64(baselineSpan))
	b.mean += weight * (v - b.mean)
	b.last = now
}

func (b *baseline) ready(now time.Time) bool {
	return !b.first.IsZero() && now.Sub(b.first) >= baselineWarmup
}
