package trigger

import (
	"fmt"
	"math"
	"time"

	"github.com/spikebox/spikebox/format"
)

const (
	// stateVersion is that of format.Baseline's meaning; another one is not read.
	stateVersion = 1
	// stateLife is how long a baseline outlives its recorder: its hours are those of the last
	// days, and a host that was away for longer may have become another.
	stateLife = days * 24 * time.Hour
	// stateFuture is how far ahead of the clock a baseline may be dated: time synchronisation
	// puts seconds right after a boot.
	stateFuture = time.Minute
	// leastWeight keeps a stored histogram to the bins that matter, in seconds.
	leastWeight = 0.001
	// stateSeconds is more weight than one histogram can hold.
	stateSeconds = 2 * float64(memory/time.Second)
)

// Baselines gives what was learned of each vital that a factor watches, as of now.
func (s *Set) Baselines(now time.Time) (all []format.Baseline) {
	said := map[string]bool{}
	for _, e := range s.evals {
		for i := range e.terms {
			// Two factors on one vital learn nearly the same, and one of them is told.
			if t := &e.terms[i]; t.Factor && !said[t.Vital] {
				said[t.Vital] = true
				all = append(all, t.state(now))
			}
		}
	}
	return all
}

// Recall gives every factor what an earlier recorder or a bundle knew of its vital, and says
// what of it cannot be used, one error a baseline. Others keep what they have.
func (s *Set) Recall(all []format.Baseline, now time.Time) (refused []error) {
	for i := range all {
		for _, e := range s.evals {
			if err := e.Recall(&all[i], now); err != nil {
				refused = append(refused, err)
				break
			}
		}
	}
	return refused
}

// Recall gives the conditions on the baseline's vital what it knows. One that is of the
// future, too old, of another version or damaged is an error and changes nothing.
func (e *Eval) Recall(known *format.Baseline, now time.Time) error {
	for i := range e.terms {
		t := &e.terms[i]
		if !t.Factor || t.Vital != known.Vital {
			continue
		}
		fresh, err := restored(known, t.Unit, now)
		if err != nil {
			return fmt.Errorf("use baseline of %s: %w", known.Vital, err)
		}
		fresh.floor = t.base.floor
		// Its recorder had not seen more, and went by that.
		e.cold = e.cold || !fresh.Ready()
		t.base = *fresh
	}
	return nil
}

// state puts the baseline into the form that is stored.
func (t *term) state(now time.Time) format.Baseline {
	b := &t.base
	s := format.Baseline{
		Version: stateVersion, Vital: t.Vital, Unit: t.Unit, Time: now.UTC(), Seen: b.seen(), Needs: needed,
		Usual: b.Usual(now), Least: b.floor,
	}
	for i, w := range b.last.bins {
		// What has all but lost its weight is left out.
		if w /= max(b.gain, 1); w >= leastWeight {
			s.Bins = append(s.Bins, format.BaselineBin{Most: edge(i), Seconds: w})
		}
	}
	for hour, values := range b.hours {
		for day, v := range values {
			if v > 0 {
				s.Hours = append(s.Hours, format.BaselineHour{Hour: hour, Day: day, Usual: v})
			}
		}
	}
	for i := range b.habit.stays {
		// Of the future is what was kept before the clock was set back; a reader refuses a baseline for it.
		if h := &b.habit.stays[(b.habit.next+i)%habitsMost]; h.slot != 0 && h.slot <= slotOf(now) {
			s.Habits = append(s.Habits, format.BaselineHabit{Time: time.Unix(0, 0).UTC().Add(time.Duration(h.slot) * stretch), Value: h.value})
		}
	}
	return s
}

// restored makes a baseline of what was stored.
func restored(s *format.Baseline, unit string, now time.Time) (*Baseline, error) {
	switch {
	case s.Version != stateVersion:
		return nil, fmt.Errorf("it has version %d, and this program knows %d", s.Version, stateVersion)
	case s.Unit != unit:
		return nil, fmt.Errorf("it is in %q, and the vital in %q", s.Unit, unit)
	case s.Time.Sub(now) > stateFuture:
		return nil, fmt.Errorf("it is from the future, %s", s.Time.UTC().Format(time.RFC3339))
	case now.Sub(s.Time) > stateLife:
		return nil, fmt.Errorf("it is of %s, more than %d days ago", s.Time.UTC().Format(time.RFC3339), days)
	}
	b := &Baseline{}
	for _, x := range s.Bins {
		// A little below the edge, which may have been rounded to the bin above.
		if !(x.Most >= 0) || math.IsInf(x.Most, 0) || !(x.Seconds > 0 && x.Seconds <= stateSeconds) {
			return nil, fmt.Errorf("it has a bin of %v s up to %v", x.Seconds, x.Most)
		}
		b.last.add(bin(x.Most*0.99), x.Seconds)
	}
	if b.last.sum > stateSeconds {
		return nil, fmt.Errorf("it has seen %v s, more than one can hold", b.last.sum)
	}
	for _, x := range s.Hours {
		if x.Hour < 0 || x.Hour >= 24 || x.Day < 0 || x.Day >= days || !(x.Usual > 0) || math.IsInf(x.Usual, 0) {
			return nil, fmt.Errorf("it has hour %d of day %d at %v", x.Hour, x.Day, x.Usual)
		}
		b.hours[x.Hour][x.Day] = x.Usual
	}
	for _, x := range s.Habits {
		if !(x.Value > 0) || math.IsInf(x.Value, 0) || x.Time.Sub(now) > stateFuture {
			return nil, fmt.Errorf("it held at %v at %s", x.Value, x.Time.UTC().Format(time.RFC3339))
		}
		b.habit.note(slotOf(x.Time), x.Value)
	}
	b.reckon()
	return b, nil
}
