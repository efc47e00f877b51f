//go:build linux

package capture

import (
	"errors"
	"fmt"
	"runtime"
	"slices"
	"sync"
	"time"

	"github.com/mdlayher/netlink"
	"golang.org/x/sys/unix"
)

const (
	// lookEvery is the least time between two looks at the rings, however fast they fill. The
	// first block of a flood is looked at at once; what else may fill until the next look without
	// touching a quarter of the ring, 6 MiB of the default, is enough for 600 MB/s, or four
	// million packets/s without data.
	lookEvery = 10 * time.Millisecond
	// countEvery keeps the kernel's 32-bit counters from wrapping, and says when losses were.
	countEvery = time.Second
)

// member is one interface of a Set. Per-CPU rings (PACKET_FANOUT_CPU) would make ring a
// slice: one Packets per CPU, all bound to one link and joined to one fanout group. A
// socket in a group cannot be bound again (EINVAL): they would have to be made anew.
type member struct {
	chosen string // the name that it was chosen by
	named  bool   // by the operator: kept for ever
	host   bool   // it had a ring when the set was opened, as a host's uplinks do
	link   link   // as last seen
	share  int    // bytes that its ring has or had; 0: never had one
	less   string // see Status.Less
	rate   rate
	ring   ring
	state  State
	reason string
	since  time.Time // of state
	armed  time.Time // when its ring was first bound
	bindAt time.Time // when its ring was last bound
	missed uint64    // packets that had passed before

	nic     losses // packets dropped by the interface itself
	nicAt   uint64 // its counter at the last reading
	nicRead bool
}

// Set owns the rings of all chosen interfaces. One goroutine looks at all of them, and
// another follows the interfaces by netlink. Its methods are safe for concurrent use.
type Set struct {
	cfg     SetConfig
	home    *namespace     // where late rings are made
	noTap   string         // why tcx is not to be had, where it would be taken
	ask     *netlink.Conn  // for links and addresses
	bell    *netlink.Conn  // rings when they change
	waker   *waker         // of the goroutine that serves the rings
	packing *packing       // nil: nothing is packed
	passing *Passing       // that the programs share; nil: there are none
	full    chan struct{}  // see Full
	stop    chan struct{}  // closed: the goroutines end
	done    sync.WaitGroup // of the goroutines

	burst burst // of the goroutine that follows

	// mu is held briefly: the goroutine that serves the rings waits for it.
	mu      sync.Mutex
	members []*member
	fresh   map[int]time.Time // when an interface without member was first seen up, by index
	events  []Event           // not delivered yet
	unheld  losses            // interfaces that went, of whose packets nothing is held any more
	budget  int               // bytes that no ring has yet
	guarded time.Time         // see Guard
	cut     *Cut
	closed  bool      // no new cuts
	idle    bool      // the goroutines have ended
	counted time.Time // the kernel's counters

	forwarding forwarding
}

// OpenSet opens the rings of the named interfaces, or of those that are recorded by
// default (see choose), in the network namespace of the calling thread. A named
// interface that does not exist is recorded as soon as it does.
//
// The memory is allocated here and stays: for named interfaces all of it, by default
// seven eighths; the rest is for interfaces that come up later, each of which gets half
// of what is left.
func OpenSet(cfg SetConfig) (*Set, error) {
	var err error
	if cfg.Filter, err = cfg.Filter.withDefaults(); err != nil {
		return nil, err
	}
	if cfg.Bytes == 0 {
		cfg.Bytes = DefaultBytes
	}
	if cfg.countEvery == 0 {
		cfg.countEvery = countEvery
	}
	s := &Set{cfg: cfg, budget: cfg.Bytes, stop: make(chan struct{}), full: make(chan struct{}, 1)}
	if err := s.open(); err != nil {
		return nil, errors.Join(err, s.free())
	}
	s.countNIC(time.Now())
	s.deliver()
	s.done.Go(s.serve)
	s.done.Go(s.follow)
	return s, nil
}

// open makes everything that OpenSet hands to the goroutines.
func (s *Set) open() error {
	var err error
	if s.home, err = openNamespace(); err != nil {
		return err
	}
	if err := s.chooseWay(); err != nil {
		return err
	}
	// Two sockets, because a reply and a notice on one could not be told apart.
	if s.ask, err = netlink.Dial(unix.NETLINK_ROUTE, nil); err != nil {
		return fmt.Errorf("open route socket: %w", err)
	}
	if s.bell, err = listen(); err != nil {
		return err
	}
	if s.waker, err = newWaker(); err != nil {
		return err
	}
	all, err := links(s.ask)
	if err != nil {
		return err
	}
	if len(s.cfg.Interfaces) > 0 {
		return s.openNamed(all)
	}
	return s.openChosen(choose(all))
}

// openNamed makes the rings of the interfaces in the configuration.
func (s *Set) openNamed(all []link) error {
	var some []link
	for _, name := range s.cfg.Interfaces {
		if slices.ContainsFunc(some, func(l link) bool { return l.name == name }) {
			continue
		}
		i := slices.IndexFunc(all, func(l link) bool { return l.name == name })
		if i < 0 { // Ethernet until it is seen
			some = append(some, link{name: name, hardware: unix.ARPHRD_ETHER})
			continue
		}
		some = append(some, all[i])
	}
	if need := len(some) * minRing(); s.budget < need {
		return fmt.Errorf("split %d KiB over %d interfaces: at least %d KiB are needed; use a larger --ring",
			s.budget>>10, len(some), need>>10)
	}
	return s.arm(some, allot(s.budget, some), true)
}

// openChosen makes the rings of the default interfaces: of the busiest, where the
// memory does not do for all.
func (s *Set) openChosen(some []link) error {
	if len(some) == 0 {
		const text = "no interface is up; those that come up will be recorded"
		s.events = append(s.events, Event{Time: time.Now(), State: Missing, Text: text})
		return nil
	}
	// The kernel gives the memory at once and for good: an eighth stays for what comes up later,
	// a VPN or a second uplink, of which nothing can be known yet.
	budget := s.budget - s.budget/8
	if n := budget / minRing(); n < len(some) {
		slices.SortStableFunc(some, func(a, b link) int {
			return int(min(b.packets, 1<<62)) - int(min(a.packets, 1<<62))
		})
		for _, l := range some[n:] {
			m := &member{chosen: l.name, link: l}
			s.members = append(s.members, m)
			s.fail(m, spent, time.Now())
		}
		some = some[:n]
	}
	if len(some) == 0 {
		return fmt.Errorf("split %d KiB: at least %d KiB are needed; use a larger --ring",
			s.budget>>10, minRing()*8/7>>10)
	}
	return s.arm(some, allot(budget, some), false)
}

// arm makes a ring for each link and binds those that exist.
func (s *Set) arm(some []link, sizes []int, named bool) error {
	for i, l := range some {
		ring, err := s.make(l, sizes[i])
		if err != nil {
			return err
		}
		s.budget -= ring.bytes()
		m := &member{chosen: l.name, named: named, host: true, link: l, share: sizes[i]}
		s.members = append(s.members, m)
		s.hand(m, ring, sizes[i])
		if l.index > 0 {
			err = s.bind(m, l)
		}
		switch {
		case l.index == 0, errors.Is(err, unix.ENODEV): // the second: removed since it was listed
			m.become(Missing, "it has not been there yet", time.Now())
			s.tell(m, "does not exist; it will be recorded as soon as it does")
		case err != nil:
			return err
		case m.state == Down:
			s.tell(m, "is down; it will be recorded as soon as it is up")
		}
	}
	return nil
}

// hand gives m a ring for which so many bytes were wanted.
func (s *Set) hand(m *member, r ring, wanted int) {
	m.ring, m.less = r, lessThan(wanted, r.bytes())
	if m.less != "" {
		s.tell(m, "has a ring of "+m.less)
	}
	r.guard(s.guarded)
}

// bind starts to record l into m's ring.
func (s *Set) bind(m *member, l link) error {
	if err := m.ring.bind(l); err != nil {
		return err
	}
	now := time.Now()
	reason := ""
	if m.armed.IsZero() {
		m.armed = now
	} else {
		reason = "it was made anew; what it saw before it was bound is missing"
	}
	m.link, m.bindAt, m.missed = l, now, l.packets
	m.rate.read(now, m.ring.counted().stats.Packets)
	m.nicRead = false // a new interface counts from 0
	m.become(Recording, reason, now)
	if !l.up() {
		m.become(Down, reason, now)
	}
	return nil
}

// become sets the state and says whether that is a change.
func (m *member) become(s State, reason string, now time.Time) bool {
	if m.state == s && m.reason == reason {
		return false
	}
	m.state, m.reason, m.since = s, reason, now
	return true
}

// serve looks at the rings when the kernel has finished a block, and at times without, until
// the set is closed.
func (s *Set) serve() {
	runtime.LockOSThread() // for what packing costs to be its thread's
	within := s.cfg.countEvery
	for looked := (time.Time{}); ; looked = time.Now() {
		s.waker.wait(within)
		if !s.waker.pause(lookEvery - time.Since(looked)) {
			return
		}
		if s.cfg.beforeLook != nil {
			s.cfg.beforeLook()
		}
		within = s.look(time.Now())
	}
}

// look takes over and gives back blocks, and reads the counters where it is time. It returns
// how soon it must look again.
func (s *Set) look(now time.Time) (within time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	count := now.Sub(s.counted) >= s.cfg.countEvery
	if count {
		s.counted = now
	}
	within = s.cfg.countEvery
	for _, m := range s.members {
		if m.ring == nil {
			continue
		}
		m.ring.advance()
		if d := m.ring.within(); d > 0 {
			within = min(within, d)
		}
		if m.ring.stuck() {
			select {
			case s.full <- struct{}{}:
			default: // it is known
			}
		}
		if count {
			m.ring.collect(now)
			m.rate.read(now, m.ring.counted().stats.Packets)
		}
	}
	return within
}

// Close stops recording. The memory of the rings is freed now, or with an open cut.
func (s *Set) Close() error {
	s.mu.Lock()
	if s.closed {
		s.mu.Unlock()
		return nil
	}
	s.closed = true
	s.mu.Unlock()
	close(s.stop)
	err := errors.Join(s.waker.stop(), s.bell.Close()) // wakes those who wait for them
	s.done.Wait()
	s.mu.Lock()
	defer s.mu.Unlock()
	s.bell, s.idle = nil, true
	if s.cut != nil {
		return err
	}
	return errors.Join(err, s.free())
}

// free gives everything back. Nobody else uses the set any more.
func (s *Set) free() error {
	var errs []error
	for _, m := range s.members {
		if m.ring != nil {
			errs = append(errs, m.ring.Close())
		}
	}
	s.members = nil
	if s.passing != nil {
		errs = append(errs, s.passing.Close())
	}
	for _, conn := range []*netlink.Conn{s.ask, s.bell} {
		if conn != nil {
			errs = append(errs, conn.Close())
		}
	}
	if s.waker != nil {
		errs = append(errs, s.waker.Close())
	}
	if s.home != nil {
		errs = append(errs, s.home.Close())
	}
	return errors.Join(errs...)
}
