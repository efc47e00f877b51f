//go:build linux

package capture

import (
	"time"

	"github.com/spikebox/spikebox/recorder/host"
)

// State is what becomes of an interface's packets.
type State string

// The states of an interface.
const (
	Recording   State = "recording"
	Down        State = "down"         // set down; recording resumes by itself
	Missing     State = "missing"      // removed or not there yet; its history is kept
	NotRecorded State = "not recorded" // Reason says why
)

// Event is a change of an interface's state.
type Event struct {
	Time      time.Time
	Interface string // empty where there is none
	State     State
	Text      string // one sentence: eth0 is down; its history is kept, …
	host      bool   // of an interface that was there when the set was opened: always told
}

// Status is what one interface of a Set has come to.
type Status struct {
	Name   string // present or last name
	Chosen string // the name that it was chosen by: another one after a rename
	Index  int
	State  State
	Way    Way       // how it is captured; empty where it has no ring
	Why    string    // not by tcx, where that would have been taken
	Reason string    // why it is not recorded, or not from the begin
	Since  time.Time // of State
	Armed  time.Time // when it was first recorded; zero: not yet
	Bound  time.Time // when it was last bound: at Armed, and whenever it was made anew
	Missed uint64    // packets that had passed it before it was bound
	// Covered is the time from which on the ring holds everything that was recorded.
	Covered   time.Time
	RingBytes int
	Less      string // than was wanted: how much and why; empty where it is not
	Reach     Reach
	Counters
}

// Status returns the state of every interface, in the order in which they were chosen.
func (s *Set) Status() []Status {
	s.mu.Lock()
	defer s.mu.Unlock()
	all := make([]Status, 0, len(s.members))
	for _, m := range s.members {
		st := m.status(time.Now(), nil)
		if m.ring != nil {
			st.Reach = s.reach(m, time.Now())
		}
		all = append(all, st)
	}
	return all
}

// status reads the counters, too. The caller holds the lock. Without a clock the stamp of
// what was forgotten is taken as it is.
func (m *member) status(now time.Time, clock *host.Past) Status {
	st := Status{
		Name: m.link.name, Chosen: m.chosen, Index: m.link.index,
		State: m.state, Reason: m.reason, Since: m.since, Armed: m.armed,
		Bound: m.bindAt, Missed: m.missed,
	}
	if m.ring == nil {
		return st
	}
	m.ring.collect(now)
	st.RingBytes, st.Counters, st.Covered = m.ring.bytes(), m.ring.counted().stats, m.armed
	st.Way, st.Why, st.Less = m.ring.way(), m.ring.why(), m.less
	if f := m.ring.reaches(clock); f.After(m.armed) {
		st.Covered = f
	}
	return st
}
