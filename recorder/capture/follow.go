//go:build linux

package capture

import (
	"errors"
	"fmt"
	"time"

	"github.com/mdlayher/netlink"
	"golang.org/x/sys/unix"
)

const (
	// coalesce is how long notices are collected at least: making one container sends a
	// dozen. It is longer on a host with thousands of links, where asking takes longer:
	// idleShare keeps it below 2 % of a CPU.
	coalesce  = 50 * time.Millisecond
	idleShare = 50
	// settleTime is how long an interface must have been up before it gets a ring: a
	// container's veth is up before it is a member of its bridge.
	settleTime = time.Second
	// nicEvery is how exactly it is known when an interface dropped packets itself, and how
	// often changes that came in a burst are summed up.
	nicEvery = 10 * time.Second
)

// listen opens a socket that receives a notice whenever links or addresses change.
func listen() (*netlink.Conn, error) {
	conn, err := netlink.Dial(unix.NETLINK_ROUTE, nil)
	if err != nil {
		return nil, fmt.Errorf("open route socket: %w", err)
	}
	for _, group := range []uint32{unix.RTNLGRP_LINK, unix.RTNLGRP_IPV4_IFADDR, unix.RTNLGRP_IPV6_IFADDR} {
		if err := conn.JoinGroup(group); err != nil {
			conn.Close()
			return nil, fmt.Errorf("listen for link changes: %w", err)
		}
	}
	return conn, nil
}

// follow compares the interfaces with the rings after every notice. The notices' content
// is not used: what counts is the state now, so that a lost notice loses nothing.
func (s *Set) follow() {
	notices := make(chan struct{}, 1)
	s.done.Go(func() { s.receive(notices) })
	retry := time.NewTimer(settleTime)
	defer retry.Stop()
	count := time.NewTicker(nicEvery)
	defer count.Stop()
	for {
		select {
		case <-s.stop:
			return
		case <-count.C:
			s.countNIC(time.Now())
			s.sumUp(time.Now())
			if !s.dropOrphans(time.Now()) {
				continue // else others may have the memory
			}
		case <-retry.C:
		case <-notices:
		}
		again, asked := s.compare(time.Now())
		if again {
			retry.Reset(settleTime)
		}
		s.pause(max(coalesce, idleShare*asked))
	}
}

// pause waits, but not for longer than the set is open.
func (s *Set) pause(d time.Duration) {
	select {
	case <-s.stop:
	case <-time.After(d):
	}
}

// receive turns notices into at most one that waits.
func (s *Set) receive(notices chan<- struct{}) {
	for {
		_, err := s.bell.Receive()
		select {
		case <-s.stop:
			return
		case notices <- struct{}{}:
		default:
		}
		if err != nil { // an overrun is as good as a notice
			s.pause(coalesce)
		}
	}
}

// compare brings rings and interfaces together, and says whether to look again soon, and how
// long it took to ask: making rings takes longer, mostly waiting, and is not for each notice.
func (s *Set) compare(now time.Time) (again bool, asked time.Duration) {
	all, err := links(s.ask)
	asked = time.Since(now)
	if err != nil {
		return true, asked
	}
	s.mu.Lock()
	taken := map[int]bool{} // links that have a member
	for _, m := range s.members {
		if l, ok := m.bound(all); ok {
			taken[l.index] = true
		}
	}
	for _, m := range s.members {
		again = s.update(m, all, taken, now) || again
	}
	again = s.adopt(all, taken, now) || again
	s.forget(now)
	var bare []*member
	for _, m := range s.members {
		if m.ring == nil && m.state != Missing {
			bare = append(bare, m)
		}
	}
	s.mu.Unlock()
	for _, m := range bare {
		// Where one has gone meanwhile, so may have the others: a ring for each costs more than to ask.
		if gone := s.equip(m, now); gone {
			again = true
			break
		}
	}
	s.deliver()
	return again, asked
}

// bound returns the link that m's socket is bound to, as it is now.
func (m *member) bound(all []link) (link, bool) {
	if m.ring == nil {
		return link{}, false
	}
	index := m.ring.bound()
	for _, l := range all {
		if index > 0 && l.index == index {
			return l, true
		}
	}
	return link{}, false
}

// byName returns a link without member that has m's last name or the one it was chosen by.
func (m *member) byName(all []link, taken map[int]bool) (link, bool) {
	for _, name := range []string{m.link.name, m.chosen} {
		for _, l := range all {
			if l.name == name && !taken[l.index] {
				return l, true
			}
		}
	}
	return link{}, false
}

// update brings m up to date, and says whether to look again soon.
func (s *Set) update(m *member, all []link, taken map[int]bool, now time.Time) (again bool) {
	if l, ok := m.bound(all); ok {
		s.note(m, l, now)
		return false
	}
	l, ok := m.byName(all, taken)
	if !ok {
		if m.state != Missing && m.become(Missing, "it was removed", now) {
			if m.ring != nil {
				m.ring.unbind()
			}
			s.tell(m, removed(m))
		}
		return false
	}
	taken[l.index] = true
	if m.ring == nil {
		m.link = l
		if m.state == Missing {
			m.become(NotRecorded, "", now)
		}
		return false
	}
	if l.kind() == m.ring.linkKind() {
		s.rebind(m, l, now)
		return m.state != Recording && m.state != Down
	}
	// A socket is for Ethernet or for bare IP packets: the interface needs another one.
	m.link = l
	if s.held() {
		return true
	}
	s.strip(m).Close()
	m.become(NotRecorded, "", now)
	return false
}

// removed says what becomes of an interface that is no more.
func removed(m *member) string {
	switch {
	case m.ring == nil:
		return "was removed"
	case m.named:
		return "was removed; its history is kept, and it will be recorded again when it is back"
	}
	return "was removed; its history is kept for as long as a bundle may ask for it"
}

// note keeps what has changed at a link that m is bound to.
func (s *Set) note(m *member, l link, now time.Time) {
	old := m.link.name
	m.link = l
	if l.name != old {
		s.tell(m, "is the new name of "+old+" and recorded on")
	}
	switch {
	case !l.up() && m.state != Down:
		m.become(Down, "", now)
		s.tell(m, "is down; its history is kept, and recording resumes when it is up")
	case l.up() && m.state != Recording:
		m.become(Recording, "", now)
		s.tell(m, "is up and recorded")
	}
}

// rebind records an interface that is back, or there at last.
func (s *Set) rebind(m *member, l link, now time.Time) {
	switch err := s.bind(m, l); {
	case errors.Is(err, unix.ENODEV): // removed since it was listed
		m.become(Missing, "it was removed before it could be recorded", now)
	case err != nil:
		s.fail(m, err.Error(), now)
	default:
		s.tell(m, "is there and recorded")
	}
}

// fail says why m is not recorded, once.
func (s *Set) fail(m *member, reason string, now time.Time) {
	if m.become(NotRecorded, reason, now) {
		s.tell(m, "is not recorded: "+reason)
	}
}

// adopt makes members of the links that would have been chosen by default, once they
// have been up for a while, and says whether some wait for that.
func (s *Set) adopt(all []link, taken map[int]bool, now time.Time) (again bool) {
	if len(s.cfg.Interfaces) > 0 {
		return false
	}
	// Built anew each time, so that an interface that went before it had settled is forgotten,
	// and another that gets its index waits for as long as any.
	seen := map[int]time.Time{}
	for _, l := range pick(all, len(s.members) == 0) {
		if taken[l.index] {
			continue
		}
		first, known := s.fresh[l.index]
		if known && now.Sub(first) >= settleTime {
			m := &member{chosen: l.name, link: l}
			m.become(NotRecorded, "it came up a moment ago", now)
			s.members = append(s.members, m)
			continue
		}
		if !known {
			first = now
		}
		seen[l.index], again = first, true
	}
	s.unsettled(all, seen, now)
	s.fresh = seen
	return again
}

// equip gives a ring to a member that has none, and says whether its interface is gone. It is
// made outside the lock, because the kernel may take a second to find the memory.
func (s *Set) equip(m *member, now time.Time) (gone bool) {
	s.mu.Lock()
	l, size := m.link, m.share
	if size == 0 {
		size = max(s.budget/2, minRing())
	}
	rings := s.shed(now, size)
	if size > s.budget {
		s.fail(m, spent, now)
		s.mu.Unlock()
		closeAll(rings)
		return false
	}
	s.budget -= size
	s.mu.Unlock()
	closeAll(rings)
	var ring ring
	err := s.home.Do(func() (err error) {
		ring, err = s.make(l, size)
		return err
	})
	s.mu.Lock()
	defer s.mu.Unlock()
	if err != nil {
		s.budget += size
		s.fail(m, err.Error(), now)
		return false
	}
	// A ring is made of whole blocks: what it did not take is for the next interface.
	s.budget += size - ring.bytes()
	m.share = size
	s.hand(m, ring, size)
	s.rebind(m, l, now)
	return m.state == Missing
}

// spent is why an interface has no ring.
const spent = "the memory for rings is spent; use a larger --ring, or name the interfaces"

// strip takes m's ring away, which no cut may hold, for the caller to close.
func (s *Set) strip(m *member) ring {
	ring := m.ring
	s.budget += ring.bytes()
	m.share = ring.bytes()
	m.ring, m.armed = nil, time.Time{}
	return ring
}

// countNIC reads what the interfaces have dropped themselves.
func (s *Set) countNIC(now time.Time) {
	drops, err := s.home.drops()
	if err != nil {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, m := range s.members {
		v, ok := drops[m.link.name]
		if !ok {
			continue
		}
		if m.nicRead && v > m.nicAt {
			m.nic.add(now, v-m.nicAt)
		}
		m.nicAt, m.nicRead = v, true
	}
}

// tell keeps an event for deliver. The caller holds the lock.
func (s *Set) tell(m *member, text string) {
	s.events = append(s.events, Event{time.Now(), m.link.name, m.state, m.link.name + " " + text, m.host})
}
