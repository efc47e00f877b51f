//go:build linux

package capture

import (
	"fmt"
	"slices"
	"time"

	"github.com/spikebox/spikebox/recorder/host"
)

// Cut is what all rings of a Set held at one instant. While it is open that history is
// not given back to the kernel, which goes on recording into the free blocks: the
// reserve, a good third of each ring. Where that is filled before the cut is written, the
// newest packets are lost, and counted, and never those of the cut.
//
// Stats and the like may be called at any time before Close, but a Cut's methods
// may not be called at the same time.
type Cut struct {
	set     *Set
	at      time.Time
	clock   *host.Past
	rings   []ring  // of the interfaces of the pcapng file
	parts   []owned // of all rings
	stats   []Stats // of all interfaces, those without a ring behind
	unheld  uint64  // see Unheld
	held    uint64
	written bool
}

// owned is a part of the ring at a place in a cut's rings.
type owned struct {
	part
	ring int
}

// Stats is what a cut holds of one interface.
type Stats struct {
	Status
	Held     uint64 // packets of the cut
	Bytes    int64  // that were kept of them
	Lost     uint64 // packets of the window for which there was no room
	NICDrops uint64 // packets of the window that the interface dropped itself, to within 10 s
	// From and To is the window in which nothing is missing but Lost, in instants of this
	// process. From is later than the cut's since where the ring does not reach back so far.
	From, To time.Time
}

// PcapngOptions is what a cut cannot know about its file.
type PcapngOptions struct {
	// Comment is put on the packet whose time is nearest to Trigger.
	Trigger time.Time
	Comment string
	// Application, OS and Hardware describe the recorder and its machine.
	Application, OS, Hardware string
}

const (
	// copyTime is how long the kernel may take to copy a packet after it has taken its
	// place in the open block.
	copyTime = 2 * time.Millisecond
	// copyTries is how often copyTime is waited for a packet that is late, as on a
	// virtual CPU that does not run.
	copyTries = 5
)

// Cut holds what the rings have recorded from since on (zero: all that there is) until
// now. The kernel stamps packets with CLOCK_REALTIME as it stands when they come; clock puts
// them on the bundle's (nil: they stay as they are). One cut can be open at a time: see
// ErrCutOpen.
func (s *Set) Cut(since time.Time, clock *host.Past) (*Cut, error) {
	s.countNIC(time.Now())
	c, err := s.hold(since, clock)
	if err != nil {
		return nil, err
	}
	settle(c.parts)
	c.measure()
	return c, nil
}

// measure counts what the cut holds.
func (c *Cut) measure() {
	for _, p := range c.parts {
		packets, bytes := p.measure(c.rings[p.ring].linkKind())
		st := &c.stats[p.ring]
		st.Held += packets
		st.Bytes += bytes
		c.held += packets
	}
}

// measured counts what a cursor has still to give.
func measured(cur cursor, kind linkKind) (packets uint64, bytes int64) {
	for r, ok := cur.next(); ok; r, ok = cur.next() {
		packets++
		bytes += int64(r.kept(kind))
	}
	return packets, bytes
}

// hold takes the instant: it notes where each ring stands.
func (s *Set) hold(since time.Time, clock *host.Past) (*Cut, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return nil, ErrClosed
	}
	if s.cut != nil {
		return nil, ErrCutOpen
	}
	c := &Cut{set: s, at: time.Now(), clock: clock}
	var bare []Stats
	var members []*member // those that were there in the window
	for _, m := range s.members {
		if m.state == Missing && !m.named && m.since.Before(since) {
			continue
		}
		if m.ring == nil {
			bare = append(bare, Stats{Status: m.status(c.at, clock)})
			continue
		}
		c.add(m.ring, since, m.link.loopback())
		members = append(members, m)
	}
	// In a loop of its own: every ring has noted where it stands before any counter is read,
	// so that the instants of two interfaces lie microseconds apart.
	for _, m := range members {
		c.stats = append(c.stats, m.window(since, c.at, clock))
	}
	c.stats = append(c.stats, bare...)
	c.unheld = s.unheld.since(since)
	s.cut = c
	s.guard(time.Time{}) // the cut holds it
	return c, nil
}

// Guard keeps what came since a time from being forgotten until the next Cut: what was before a trigger is
// not overwritten by what comes after it. Where there is no room for both, Full says so.
func (s *Set) Guard(since time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.guard(since)
	_ = s.waker.ring() // it looks at the rings as often as that needs from now on; else a second later
}

func (s *Set) guard(since time.Time) {
	s.guarded = since
	for _, m := range s.members {
		if m.ring != nil {
			m.ring.guard(since)
		}
	}
	select {
	case <-s.full: // of the guard before
	default:
	}
}

// Full tells that there is hardly room left beside what is guarded: a Cut must be taken now, and what comes
// later may find none.
func (s *Set) Full() <-chan struct{} { return s.full }

// add holds what a ring has.
func (c *Cut) add(r ring, since time.Time, lo bool) {
	for _, p := range r.keep(since, c.clock, lo) {
		c.parts = append(c.parts, owned{p, len(c.rings)})
	}
	c.rings = append(c.rings, r)
}

// wall is an instant on the clock of a cut, Unix ns.
func wall(at time.Time, clock *host.Past) int64 {
	if clock == nil {
		return at.UnixNano()
	}
	return clock.Base.Wall(at).UnixNano()
}

// window is what is known of m's packets from a time to another.
func (m *member) window(since, to time.Time, clock *host.Past) Stats {
	st := Stats{Status: m.status(to, clock), To: to}
	st.From = st.Covered
	if since.After(st.From) {
		st.From = since
	}
	if m.armed.IsZero() || st.From.After(to) { // never there
		st.From = to
	}
	st.Lost = m.ring.counted().losses.since(st.From)
	st.NICDrops = m.nic.since(st.From)
	return st
}

// settle waits for the packets that the kernel was still copying, and leaves out those from
// the first one on that does not arrive. A packet that is there is whole one wait later.
func settle(parts []owned) {
	late := func(p owned) bool { return p.late() }
	time.Sleep(copyTime)
	for try := 0; try < copyTries && slices.ContainsFunc(parts, late); try++ {
		time.Sleep(copyTime)
	}
	for _, p := range parts {
		p.settle()
	}
	time.Sleep(copyTime)
}

// Stats returns what the cut holds of each interface, in the order of the pcapng file;
// interfaces that are not recorded come last and are not in the file.
func (c *Cut) Stats() []Stats { return c.stats }

// Unheld is how many interfaces went within the window of which the cut holds nothing: they
// were up too briefly, found no memory, or gave theirs up for others.
func (c *Cut) Unheld() uint64 { return c.unheld }

// At is when it was taken.
func (c *Cut) At() time.Time { return c.at }

// Packets is the number of packets in the cut.
func (c *Cut) Packets() uint64 { return c.held }

// head writes what stands before the packets.
func (c *Cut) head(g *pcapng, o PcapngOptions) {
	g.section(o)
	f := c.set.cfg.Filter
	for i, r := range c.rings {
		st, kind := c.stats[i], r.linkKind()
		snap := f.capture()
		if kind == ethernet {
			snap += vlanTag
		}
		g.device(kind, snap, st.Name, describe(st, f), f.String())
	}
}

// describe says in words what the ring keeps.
func describe(st Stats, f Filter) string {
	text := fmt.Sprintf("headers up to %d bytes", f.SnapLen)
	if f.Payload > 0 {
		text += fmt.Sprintf(" and %d of payload", f.Payload)
	}
	if st.Chosen != st.Name {
		text += "; chosen as " + st.Chosen
	}
	return text
}

// foot writes what stands behind the packets.
func (c *Cut) foot(g *pcapng, stats []Stats) {
	for i := range c.rings {
		st := stats[i]
		g.stats(i, st, wall(st.From, c.clock), wall(st.To, c.clock))
	}
}

// release lets the rings give back what the queues are done with.
func (c *Cut) release(queues merger) {
	c.set.mu.Lock()
	defer c.set.mu.Unlock()
	for _, q := range queues {
		q.part.done(q.low)
	}
}

// unhold lets the rings give back everything. The caller holds the set's lock.
func (c *Cut) unhold() {
	for _, r := range c.rings {
		r.release()
	}
}

// Close lets go of what was not written, and allows the next cut. It may be called again.
func (c *Cut) Close() error {
	s := c.set
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.cut != c {
		return nil
	}
	s.cut = nil
	c.unhold()
	c.parts, c.rings = nil, nil
	if s.idle { // the set was closed meanwhile
		return s.free()
	}
	return nil
}
