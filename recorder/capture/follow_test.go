//go:build linux

package capture

import (
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netns"

	"github.com/spikebox/spikebox/recorder/internal/testns"
)

// journal collects the events of a set.
type journal struct {
	mu     sync.Mutex
	events []Event
}

func (j *journal) add(e Event) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.events = append(j.events, e)
}

// saw says whether an event's text contains all of the words.
func (j *journal) saw(words ...string) bool {
	j.mu.Lock()
	defer j.mu.Unlock()
	return slices.ContainsFunc(j.events, func(e Event) bool {
		return !slices.ContainsFunc(words, func(w string) bool { return !strings.Contains(e.Text, w) })
	})
}

// in calls f inside a namespace and fails the test with its error.
func in(t testing.TB, ns netns.NsHandle, f func() error) {
	t.Helper()
	var err error
	testns.Do(t, ns, func() { err = f() })
	if err != nil {
		t.Fatal(err)
	}
}

func setUp(name string, up bool) func() error {
	return func() error {
		l, err := netlink.LinkByName(name)
		if err != nil {
			return err
		}
		if up {
			return netlink.LinkSetUp(l)
		}
		return netlink.LinkSetDown(l)
	}
}

func remove(name string) func() error {
	return func() error {
		l, err := netlink.LinkByName(name)
		if err != nil {
			return err
		}
		return netlink.LinkDel(l)
	}
}

// veth makes a pair inside one namespace, both ends up.
func veth(name, peer string) func() error {
	return func() error {
		err := netlink.LinkAdd(&netlink.Veth{LinkAttrs: netlink.LinkAttrs{Name: name}, PeerName: peer})
		if err != nil {
			return err
		}
		if err := setUp(name, true)(); err != nil {
			return err
		}
		return setUp(peer, true)()
	}
}

func state(s *Set, i int) State {
	st := s.Status()
	if i >= len(st) {
		return ""
	}
	return st[i].State
}

// one is a set that records one interface, eth0, and what it said.
type one struct {
	*Set
	t  *testing.T
	ns netns.NsHandle
	journal
}

func armOne(t *testing.T, way Way) *one {
	t.Helper()
	o := &one{t: t, ns: testns.New(t)}
	in(t, o.ns, veth("eth0", "peer0"))
	o.Set = arm(t, o.ns, SetConfig{Way: way, Interfaces: []string{"eth0"}, Bytes: 1 << 20, Filter: Filter{Payload: 16}, Notify: o.add})
	return o
}

// send sends a numbered packet over the interface as it is called now.
func (o *one) send(link string, seq uint64) {
	o.t.Helper()
	if err := openWire(o.t, o.ns, link).send(numbered(0, seq, 0)); err != nil {
		o.t.Fatal(err)
	}
}

// does changes the namespace and waits for what the set makes of it.
func (o *one) does(change func() error, want State) {
	o.t.Helper()
	in(o.t, o.ns, change)
	eventually(o.t, "state "+string(want), func() bool { return state(o.Set, 0) == want })
}

// rename gives the interface another name, for which it must be down.
func (o *one) rename(from, to string) {
	o.t.Helper()
	in(o.t, o.ns, func() error {
		l, err := netlink.LinkByName(from)
		if err != nil {
			return err
		}
		if err := netlink.LinkSetDown(l); err != nil {
			return err
		}
		if err := netlink.LinkSetName(l, to); err != nil {
			return err
		}
		return netlink.LinkSetUp(l)
	})
	eventually(o.t, "the new name", func() bool { st := o.Status()[0]; return st.Name == to && st.State == Recording })
}

// One interface lives through everything, with one ring: its history is never lost.
func TestInterfaceLives(t *testing.T) { eachWay(t, testInterfaceLives) }

func testInterfaceLives(t *testing.T, way Way) {
	o := armOne(t, way)
	o.send("eth0", 0)
	o.does(setUp("eth0", false), Down)
	o.does(setUp("eth0", true), Recording)
	o.send("eth0", 1)
	o.does(remove("eth0"), Missing)
	if file, _ := cutNow(t, o.Set); contiguous(t, file)[0] != (span{0, 1}) {
		t.Error("the history of the removed interface is not whole")
	}
	o.does(veth("eth0", "peer0"), Recording)
	o.send("eth0", 2)
	o.rename("eth0", "wan0")
	o.send("wan0", 3)

	file, stats := cutNow(t, o.Set)
	if got := contiguous(t, file)[0]; got != (span{0, 3}) {
		t.Errorf("got %+v", got)
	}
	if st := stats[0]; st.Chosen != "eth0" || st.Name != "wan0" {
		t.Errorf("chosen %s, now %s", st.Chosen, st.Name)
	}
	for _, words := range [][]string{
		{"eth0 is down", "history is kept"}, {"eth0 is up"}, {"eth0 was removed"},
		{"eth0 is there"}, {"wan0 is the new name of eth0"},
	} {
		if !o.saw(words...) {
			t.Errorf("no event with %q in %v", words, o.journal.events)
		}
	}
	o.does(remove("wan0"), Missing)
	o.does(veth("eth0", "peer0"), Recording) // back under the name that the operator gave
	o.send("eth0", 4)
	if file, _ := cutNow(t, o.Set); contiguous(t, file)[0] != (span{0, 4}) {
		t.Error("the history was lost with the second removal")
	}
}

// An interface that is made anew under the index that it had is bound again, although
// nothing looks different.
func TestSameIndexAgain(t *testing.T) { eachWay(t, testSameIndexAgain) }

func testSameIndexAgain(t *testing.T, way Way) {
	ns := testns.New(t)
	make77 := func() error {
		err := netlink.LinkAdd(&netlink.Veth{LinkAttrs: netlink.LinkAttrs{Name: "eth0", Index: 77}, PeerName: "peer0"})
		if err != nil {
			return err
		}
		return setUp("eth0", true)()
	}
	in(t, ns, make77)
	s := arm(t, ns, SetConfig{Way: way, Interfaces: []string{"eth0"}, Bytes: 1 << 20, Filter: Filter{Payload: 16}})
	in(t, ns, func() error {
		if err := remove("eth0")(); err != nil {
			return err
		}
		return make77()
	})
	eventually(t, "bound again", func() bool {
		s.mu.Lock()
		defer s.mu.Unlock()
		return s.members[0].ring.bound() == 77
	})
}

// A named interface that does not exist yet is recorded as soon as it does; one that
// turns out to carry bare IP packets gets another kind of socket.
func TestNamedInterfaceAppears(t *testing.T) { eachWay(t, testNamedInterfaceAppears) }

func testNamedInterfaceAppears(t *testing.T, way Way) {
	ns := testns.New(t)
	var j journal
	s := arm(t, ns, SetConfig{Way: way, Interfaces: []string{"eth5", "tun5"}, Bytes: 2 << 20, Filter: Filter{Payload: 16}, Notify: j.add})
	if !j.saw("eth5 does not exist") {
		t.Errorf("events %v", j.events)
	}
	in(t, ns, veth("eth5", "peer5"))
	eventually(t, "recording of eth5", func() bool { return state(s, 0) == Recording })
	if err := openWire(t, ns, "eth5").send(numbered(0, 7, 0)); err != nil {
		t.Fatal(err)
	}
	held, err := s.Cut(time.Time{}, nil)
	if err != nil {
		t.Fatal(err)
	}
	testns.Do(t, ns, func() { newTun(t, "tun5") })
	defer held.Close()
	eventually(t, "another try", func() bool {
		s.mu.Lock()
		defer s.mu.Unlock()
		return s.members[1].link.index > 0
	})
	if state(s, 1) == Recording {
		t.Error("the ring was exchanged while a cut held it")
	}
	if got := contiguous(t, write(t, held, PcapngOptions{}))[0]; got != (span{7, 7}) {
		t.Errorf("got %+v", got)
	}
	held.Close()
	eventually(t, "recording of tun5", func() bool { return state(s, 1) == Recording })
	s.mu.Lock()
	defer s.mu.Unlock()
	if m := s.members[1]; m.ring.linkKind() != rawIP || s.budget < 0 || s.budget > 32<<10 {
		t.Errorf("tun5: kind %v, budget %d", m.ring.linkKind(), s.budget)
	}
}
