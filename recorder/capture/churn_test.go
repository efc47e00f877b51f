//go:build linux

package capture

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/spikebox/spikebox/recorder/internal/testns"
)

// pairs is how many veth pairs come and go in a round.
const pairs = 40

// round makes pairs and sets their ends up.
func round(n int) func() error {
	return func() error {
		for i := range pairs {
			if err := veth(fmt.Sprintf("a%d-%d", n, i), fmt.Sprintf("b%d-%d", n, i))(); err != nil {
				return err
			}
		}
		return nil
	}
}

func unround(n int) func() error {
	return func() error {
		for i := range pairs {
			if err := remove(fmt.Sprintf("a%d-%d", n, i))(); err != nil {
				return err
			}
		}
		return nil
	}
}

// counts gives the number of interfaces in each state.
func counts(s *Set) map[State]int {
	n := map[State]int{}
	for _, st := range s.Status() {
		n[st.State]++
	}
	return n
}

// Interfaces come and go in rounds, more than the memory does for. What is dead makes room
// for the next round as soon as no cut would ask for it, few lines say so, and a cut of a
// window that begins when they are gone knows nothing of them.
func TestInterfacesComeAndGo(t *testing.T) { eachWay(t, testInterfacesComeAndGo) }

func testInterfacesComeAndGo(t *testing.T, way Way) {
	ns := testns.New(t)
	in(t, ns, veth("eth0", "eth1"))
	var j journal
	began := time.Now()
	s := arm(t, ns, SetConfig{Way: way, Bytes: 8 << 20, Before: time.Second, After: time.Second, Notify: j.add})
	for n := range 3 {
		in(t, ns, round(n))
		eventually(t, fmt.Sprintf("a ring for some of round %d", n), func() bool {
			for _, st := range s.Status() {
				if st.State == Recording && st.Name[1:2] == fmt.Sprint(n) && st.Name[2] == '-' {
					return true
				}
			}
			return false
		})
		during := time.Now()
		in(t, ns, unround(n))
		eventually(t, "their end", func() bool { n := counts(s); return n[Recording] == 2 && n[NotRecorded] == 0 })
		c, err := s.Cut(during, nil)
		if err != nil {
			t.Fatal(err)
		}
		if c.Unheld() == 0 && len(c.Stats()) < 2+2*pairs {
			t.Errorf("of %d interfaces that went in the window the cut holds %d, and tells of no others", 2*pairs, len(c.Stats())-2)
		}
		c.Close()
	}
	time.Sleep(10 * time.Millisecond) // so that a window can begin after the last one's end
	c, err := s.Cut(time.Now(), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if len(c.Stats()) != 2 || c.Unheld() != 0 {
		t.Errorf("a window without them tells of %d interfaces and %d more: %+v", len(c.Stats()), c.Unheld(), c.Stats())
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	summaries := int(time.Since(began)/nicEvery) + 1
	if most := (summaries + 1) * (burstRoom + 1); len(j.events) > most {
		t.Errorf("%d lines of %d rounds of %d interfaces within %v, want %d at most", len(j.events), 3, 2*pairs, time.Since(began), most)
	}
}

// One that has been gone for as long as a cut may reach back gives its memory without being asked.
func TestOrphansGo(t *testing.T) {
	ns := testns.New(t)
	in(t, ns, veth("eth0", "eth1"))
	s := arm(t, ns, SetConfig{Bytes: 8 << 20, Before: time.Hour, After: time.Hour})
	in(t, ns, remove("eth0"))
	eventually(t, "its removal", func() bool { return counts(s)[Missing] == 2 })
	now := time.Now()
	const oldest = -1 // what is there, with what the ring that has been gone for longest gives
	for _, c := range []struct {
		age    time.Duration
		wanted int
		left   int
	}{
		{30 * time.Minute, 64 << 20, 2}, // a cut would ask for it
		{90 * time.Minute, 0, 2},        // nobody wants the memory, and an incident may go on
		{90 * time.Minute, 1 << 20, 2},  // there is as much left
		{90 * time.Minute, oldest, 1},   // one is enough
		{3 * time.Hour, 0, 0},
	} {
		s.mu.Lock()
		if c.wanted == oldest {
			first := slices.MinFunc(s.members, func(a, b *member) int { return a.since.Compare(b.since) })
			c.wanted = s.budget + first.ring.bytes()
		}
		closeAll(s.shed(now.Add(c.age), c.wanted))
		left := 0
		for _, m := range s.members {
			if m.ring != nil {
				left++
			}
		}
		if left != c.left {
			t.Errorf("%v after the removal, %d bytes wanted of %d: %d rings left, want %d", c.age, c.wanted, s.budget, left, c.left)
		}
		s.mu.Unlock()
	}
}

// A burst is told by its first few changes and one sentence.
func TestBurst(t *testing.T) {
	var b burst
	told := 0
	for i := range 300 {
		for _, state := range []State{Recording, Missing}[:2-i%2] {
			if b.admit(Event{State: state}) {
				told++
			}
		}
	}
	e, some := b.summary(time.Now())
	if want := "more interfaces changed within 10s: 295 came up and are recorded, 147 went"; told != burstRoom || !some || e.Text != want {
		t.Errorf("%d told, then %q, want %q", told, e.Text, want)
	}
	for range burstRoom + 1 {
		if !b.admit(Event{State: Down, host: true}) {
			t.Error("a change of the host's own interface is not told")
		}
	}
	if _, some := b.summary(time.Now()); some || !b.admit(Event{}) {
		t.Error("nothing happened since, and it is told; or the next change is not")
	}
}
