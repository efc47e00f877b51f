//go:build linux

package capture

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// Interfaces that come and go by the hundred, as containers' do, must neither keep the
// memory of the rings nor fill the log, and a cut must know what it does not hold of them.

// kept is for how long the ring of a removed interface that nobody named is kept: while a
// cut of an incident that begins now can ask for it.
func (s *Set) kept() time.Duration { return s.cfg.Before + s.cfg.After }

// shed takes the rings of removed interfaces that nobody named, those that went first before
// the others: all that hold nothing or that no cut will ask for, and, where so many bytes are wanted, those with
// nothing younger than a cut would ask for now. The caller holds the lock, and closes the
// rings without it: the kernel lets all CPUs pass before it takes a socket away
// (packet_release, synchronize_net).
func (s *Set) shed(now time.Time, wanted int) (rings []ring) {
	if s.held() {
		return nil
	}
	var gone []*member
	for _, m := range s.members {
		if m.ring != nil && m.state == Missing && !m.named {
			gone = append(gone, m)
		}
	}
	slices.SortFunc(gone, func(a, b *member) int { return a.since.Compare(b.since) })
	for _, m := range gone {
		age := now.Sub(m.since)
		empty := m.armed.IsZero()
		if empty || age > s.kept() || s.budget < wanted && age > s.cfg.Before {
			s.unheld.add(m.since, 1)
			rings = append(rings, s.strip(m))
		}
	}
	return rings
}

// held says whether a cut holds the rings, or an incident will ask for what is in them.
func (s *Set) held() bool { return s.cut != nil || !s.guarded.IsZero() }

// closeAll gives the memory of rings back.
func closeAll(rings []ring) {
	for _, r := range rings {
		r.Close()
	}
}

// dropOrphans frees the rings that nobody will ask for, and says whether there were any.
func (s *Set) dropOrphans(now time.Time) bool {
	s.mu.Lock()
	rings := s.shed(now, 0)
	s.mu.Unlock()
	closeAll(rings)
	return len(rings) > 0
}

// forget lets go of the members that were removed and hold nothing.
func (s *Set) forget(now time.Time) {
	s.members = slices.DeleteFunc(s.members, func(m *member) bool {
		if m.ring != nil || m.state != Missing || m.named {
			return false
		}
		if m.share == 0 { // it never had a ring
			s.unheld.add(now, 1)
		}
		return true
	})
}

// unsettled counts the interfaces that went before they had been up for long enough to get
// a ring; seen are those that wait for that now.
func (s *Set) unsettled(all []link, seen map[int]time.Time, now time.Time) {
	for index := range s.fresh {
		if _, waits := seen[index]; !waits && !slices.ContainsFunc(all, func(l link) bool { return l.index == index }) {
			s.unheld.add(now, 1)
		}
	}
}

// burstRoom is how many changes are told one by one between two summaries, beside those of the
// interfaces that a host began with: of a hundred containers nobody reads each.
const burstRoom = 8

// burst counts the changes that are not told one by one.
type burst struct {
	told  int // one by one since the last summary
	count map[State]int
}

// admit says whether a change is told by itself, and counts it otherwise.
func (b *burst) admit(e Event) bool {
	if e.host {
		return true
	}
	if b.told < burstRoom {
		b.told++
		return true
	}
	if b.count == nil {
		b.count = map[State]int{}
	}
	b.count[e.State]++
	return false
}

// summary sums up what was not told since the last one, if anything.
func (b *burst) summary(now time.Time) (Event, bool) {
	var parts []string
	for _, p := range []struct {
		state State
		did   string
	}{{Recording, "came up and are recorded"}, {Missing, "went"}, {Down, "were set down"}, {NotRecorded, "are not recorded"}} {
		if n := b.count[p.state]; n > 0 {
			parts = append(parts, fmt.Sprintf("%d %s", n, p.did))
		}
	}
	*b = burst{}
	text := fmt.Sprintf("more interfaces changed within %v: %s", nicEvery, strings.Join(parts, ", "))
	return Event{Time: now, State: NotRecorded, Text: text}, len(parts) > 0
}

// deliver hands the events out, without the lock.
func (s *Set) deliver() {
	s.mu.Lock()
	events := s.events
	s.events = nil
	s.mu.Unlock()
	if s.cfg.Notify == nil {
		return
	}
	for _, e := range events {
		if s.burst.admit(e) {
			s.cfg.Notify(e)
		}
	}
}

// sumUp tells what deliver held back.
func (s *Set) sumUp(now time.Time) {
	if e, some := s.burst.summary(now); some && s.cfg.Notify != nil {
		s.cfg.Notify(e)
	}
}
