package flow

// Schedule is a known series of waits between the repetitions of a SYN or SYN-ACK.
type Schedule uint8

// The known schedules. The zero value means that nothing was repeated.
const (
	ScheduleNone         Schedule = iota
	ScheduleExponential1          // RTO 1 s, doubling: Linux 2.6.39 to 6.4, every Linux SYN-ACK
	ScheduleLinear                // five waits of 1 s, then doubling: Linux 6.5 and later, macOS
	ScheduleExponential3          // RTO 3 s, doubling: stacks before RFC 6298
	ScheduleAfterReset            // 0.5 s after each RST: Windows retrying a refused connection
	ScheduleOther                 // none of these
	schedules
)

// scheduleNames are the names of the schedules in JSON.
var scheduleNames = [schedules]string{
	"none", "exponential-1s", "linear", "exponential-3s", "after-reset", "other",
}

// String returns the name as it is encoded.
func (s Schedule) String() string { return scheduleNames[s] }

// ScheduleSet is a set of schedules, a bit for each.
type ScheduleSet uint8

// Has reports whether s is in the set.
func (set ScheduleSet) Has(s Schedule) bool { return set&(1<<s) != 0 }

// List returns the members of the set in the order of the constants.
func (set ScheduleSet) List() []Schedule {
	var list []Schedule
	for s := range schedules {
		if set.Has(s) {
			list = append(list, s)
		}
	}
	return list
}

// Names returns the names of the members in the order of the constants; nobody may write to them.
func (set ScheduleSet) Names() []string {
	// Nearly every set has one member: its name is there, and nothing is allocated.
	if s := set.first(); set == 1<<s {
		return scheduleNames[s : s+1 : s+1]
	}
	names := []string{}
	for _, s := range set.List() {
		names = append(names, s.String())
	}
	return names
}

// waits are the seconds between transmissions of each schedule; the last is repeated, because the
// number of retries is a setting (tcp_syn_retries) and not part of the schedule.
var waits = [schedules][]float64{
	ScheduleExponential1: {1, 2, 4, 8, 16, 32, 64},
	ScheduleLinear:       {1, 1, 1, 1, 1, 2, 4, 8, 16, 32, 64},
	ScheduleExponential3: {3, 6, 12, 24, 48},
	ScheduleAfterReset:   {0.5, 0.5},
}

// early is how many seconds the first wait of a schedule may be short. A stack that counts ticks sets
// the timer somewhere within one, so that the first wait lacks what had passed of it; each later
// timer is set when one fires, on a tick, and is whole. Stacks with an initial RTO of 3 s count ticks
// of half a second, as BSD's slow timer does (Stevens, TCP/IP Illustrated 1, §18.2: 5.5 to 6 s of 6):
// Windows up to 2012 R2, whose TcpInitialRtt is 3 s, waits 2.78 s in rto007 and 2.93 s in comp007 of the
// TCPRS suite. Windows with an RTO of 1 s counts the clock's ticks of 1/64 s, Linux jiffies of at most
// 1/100 s.
var early = [schedules]float64{
	ScheduleExponential1: 1. / 64,
	ScheduleLinear:       1. / 64,
	ScheduleExponential3: 0.5,
}

const (
	// A timer of Linux' wheel fires up to one eighth of its length late (kernel/time/timer.c, LVL_GRAN).
	lateBy = 1.125
	// Capture times jitter and clocks are slewed, so that a gap may look this much shorter, and on
	// top of lateBy this much longer: a busy sender is scheduled late.
	jitter = 0.02
)

// matchSchedules returns the schedules that the gaps, in seconds, still allow. afterReset says that
// each repetition followed a RST.
//
// A schedule is matched from its beginning. Only when none fits so is a later start allowed,
// because the first transmissions may have been before the capture began.
func matchSchedules(gaps []float64, afterReset bool) ScheduleSet {
	if len(gaps) == 0 {
		return 1 << ScheduleNone
	}
	if afterReset {
		if fits(gaps, waits[ScheduleAfterReset], 0) {
			return 1 << ScheduleAfterReset
		}
		return 1 << ScheduleOther
	}
	if set := fitting(gaps, 1); set != 0 {
		return set
	}
	if set := fitting(gaps, len(waits[ScheduleLinear])-1); set != 0 {
		return set
	}
	return 1 << ScheduleOther
}

// fitting returns the timer schedules that fit with one of their first starts skipped waits.
func fitting(gaps []float64, starts int) (set ScheduleSet) {
	for s := ScheduleExponential1; s <= ScheduleExponential3; s++ {
		for skip := 0; skip < min(starts, len(waits[s])-1); skip++ {
			short := early[s]
			if skip > 0 {
				short = 0 // the first that was captured was sent on a tick
			}
			if fits(gaps, waits[s][skip:], short) {
				set |= 1 << s
			}
		}
	}
	return set
}

// fits reports whether each gap is the wait that is due, or up to an eighth longer; the first may be
// short by so many seconds.
func fits(gaps, due []float64, short float64) bool {
	for i, gap := range gaps {
		wait := due[min(i, len(due)-1)]
		if gap < (wait-short)*(1-jitter) || gap > wait*lateBy+jitter {
			return false
		}
		short = 0
	}
	return true
}

// first returns the first schedule of the set: the documented choice while several still fit. One
// repetition after 1 s is called exponential-1s, though linear begins in the same way.
func (set ScheduleSet) first() Schedule {
	for s := range schedules {
		if set.Has(s) {
			return s
		}
	}
	return ScheduleNone
}

// schedule sets what the repetitions of the handshake say.
func (h *Handshake) schedule() {
	h.SYNSchedules = matchSchedules(gaps(h.SYNs))
	h.SYNSchedule = h.SYNSchedules.first()
	h.SYNACKSchedules = matchSchedules(gaps(h.SYNACKs))
	h.SYNACKSchedule = h.SYNACKSchedules.first()
}

// gaps returns the seconds between transmissions, and whether a RST preceded every repetition. The
// wait for a SYN-ACK that a repeated SYN asked for is left out; the timer starts anew with it
// (tcp_check_req, Linux 6.18).
func gaps(sent []Sent) ([]float64, bool) {
	if len(sent) < 2 {
		return nil, false
	}
	list := make([]float64, 0, len(sent)-1)
	reset := true
	for i, s := range sent[1:] {
		if !s.Asked {
			list = append(list, float64(s.Time-sent[i].Time)/1e9)
			reset = reset && s.Reset
		}
	}
	return list, reset
}

// Offsets returns the seconds since the first transmission of each repetition.
func Offsets(sent []Sent) []float64 {
	offsets := []float64{}
	for i := 1; i < len(sent); i++ {
		offsets = append(offsets, float64(sent[i].Time-sent[0].Time)/1e9)
	}
	return offsets
}
