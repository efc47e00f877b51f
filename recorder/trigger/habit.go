package trigger

import (
	"math"
	"time"
)

const (
	// stretch is how exactly a habit's time of day is known: what a clock starts at a minute shows some minutes
	// earlier or later, as what it has to do before grows. The one before and the one after count, too.
	stretch = 5 * time.Minute
	perDay  = int64(day / stretch)
	// habitsMost is how many stretches are remembered, the newest: a job of an hour and a half each day for a week. What
	// comes more often than that is no clock's, and pushes itself out before a day has passed.
	habitsMost = 128
	// habitMore is how much more than on the days before is no news: a dozen independent things vary by a third.
	habitMore = 1.5
)

// habit is what a condition held at where its trigger's did all, by time of day. A job of a few seconds that a clock starts is less than the tenth of an hour
// from which on it is usual; it is a habit all the same, and known by coming at the same time.
type habit struct {
	stays [habitsMost]stay // a ring
	next  int              // its oldest

	held  time.Duration // beyond what is usual, since one was kept last
	least float64       // meanwhile
	on    bool

	slot        int64 // for which these were reckoned
	twice, once float64
}

// stay is the most that a condition held at in a stretch.
type stay struct {
	slot  int64 // since 1970; 0 is none
	value float64
}

// look takes a tick's value, which is beyond what is usual or not.
func (h *habit) look(elapsed time.Duration, v float64, beyond bool) {
	switch {
	case !beyond:
		h.on = false
	case !h.on:
		h.on, h.held, h.least = true, 0, v
	default:
		h.held, h.least = h.held+elapsed, min(h.least, v)
	}
}

// full says whether a hold is filled beyond what is usual.
func (h *habit) full(hold time.Duration) bool { return h.on && h.held >= hold-slack }

// keep notes what was the least of a hold, and begins another.
func (h *habit) keep(now time.Time) {
	h.note(slotOf(now), h.least)
	h.on = false
}

func (h *habit) note(slot int64, v float64) {
	last := &h.stays[(h.next+habitsMost-1)%habitsMost]
	if last.slot == slot {
		last.value = max(last.value, v)
		return
	}
	h.stays[h.next] = stay{slot, v}
	h.next = (h.next + 1) % habitsMost
}

// limit raises a limit to a little more than what two other days had at this time, and for one day's to at most a multiple
// (onceMost) of what it would be without that day, by which the limit may have been raised before.
func (h *habit) limit(now time.Time, limit, without float64) float64 {
	if slot := slotOf(now); slot != h.slot {
		h.slot = slot
		h.twice, h.once = h.reckon(slot)
	}
	return max(limit, habitMore*h.twice, min(habitMore*h.once, onceMost*without))
}

// reckon gives the second largest and the largest of other days.
func (h *habit) reckon(slot int64) (second, first float64) {
	var most [days]float64
	for _, s := range h.stays {
		// From one stretch before to one after, so many days ago.
		ago := slot - s.slot + 1
		if before := ago / perDay; s.slot != 0 && ago%perDay <= 2 && before > 0 && before < days {
			most[before] = max(most[before], s.value)
		}
	}
	for _, v := range most {
		first, second = max(first, v), max(second, min(first, v))
	}
	return second, first
}

func slotOf(t time.Time) int64 { return int64(math.Floor(float64(t.Unix()) / stretch.Seconds())) }
