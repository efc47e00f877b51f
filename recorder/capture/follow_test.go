//go:build linux

package capture

import (
	"errors"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netns"
	"golang.org/x/sys/unix"

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

// One interface lives through everything, with one ring: its history is never lost.
func TestInterfaceLives(t *testing.T) {
	ns := testns.New(t)
	in(t, ns, veth("eth0", "peer0"))
	var j journal
	s := arm(t, ns, SetConfig{Interfaces: []string{"eth0"}, Bytes: 1 << 20, Filter: Filter{Payload: 16}, Notify: j.add})
	send := func(link string, seq uint64) {
		t.Helper()
		if err := openWire(t, ns, link).send(numbered(0, seq, 0)); err != nil {
			t.Fatal(err)
		}
	}
	is := func(want State) {
		t.Helper()
		eventually(t, "state "+string(want), func() bool { return state(s, 0) == want })
	}
	send("eth0", 0)

	in(t, ns, setUp("eth0", false))
	is(Down)
	in(t, ns, setUp("eth0", true))
	is(Recording)
	send("eth0", 1)

	in(t, ns, remove("eth0"))
	is(Missing)
	if file, _ := cutNow(t, s); contiguous(t, file)[0] != (span{0, 1}) {
		t.Error("the history of the removed interface is not whole")
	}
	in(t, ns, veth("eth0", "peer0"))
	is(Recording)
	send("eth0", 2)

	in(t, ns, func() error {
		l, err := netlink.LinkByName("eth0")
		if err != nil {
			return err
		}
		if err := netlink.LinkSetDown(l); err != nil {
			return err
		}
		if err := netlink.LinkSetName(l, "wan0"); err != nil {
			return err
		}
		return netlink.LinkSetUp(l)
	})
	eventually(t, "the new name", func() bool { st := s.Status()[0]; return st.Name == "wan0" && st.State == Recording })
	send("wan0", 3)

	file, stats := cutNow(t, s)
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
		if !j.saw(words...) {
			t.Errorf("no event with %q in %v", words, j.events)
		}
	}
	in(t, ns, remove("wan0"))
	is(Missing)
	in(t, ns, veth("eth0", "peer0")) // back under the name that the operator gave
	is(Recording)
	send("eth0", 4)
	if file, _ := cutNow(t, s); contiguous(t, file)[0] != (span{0, 4}) {
		t.Error("the history was lost with the second removal")
	}
}

// An interface that is made anew under the index that it had is bound again, although
// nothing looks different.
func TestSameIndexAgain(t *testing.T) {
	ns := testns.New(t)
	make77 := func() error {
		err := netlink.LinkAdd(&netlink.Veth{LinkAttrs: netlink.LinkAttrs{Name: "eth0", Index: 77}, PeerName: "peer0"})
		if err != nil {
			return err
		}
		return setUp("eth0", true)()
	}
	in(t, ns, make77)
	s := arm(t, ns, SetConfig{Interfaces: []string{"eth0"}, Bytes: 1 << 20, Filter: Filter{Payload: 16}})
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
func TestNamedInterfaceAppears(t *testing.T) {
	ns := testns.New(t)
	var j journal
	s := arm(t, ns, SetConfig{Interfaces: []string{"eth5", "tun5"}, Bytes: 2 << 20, Filter: Filter{Payload: 16}, Notify: j.add})
	if !j.saw("eth5 does not exist") {
		t.Errorf("events %v", j.events)
	}
	in(t, ns, veth("eth5", "peer5"))
	eventually(t, "recording of eth5", func() bool { return state(s, 0) == Recording })
	if err := openWire(t, ns, "eth5").send(numbered(0, 7, 0)); err != nil {
		t.Fatal(err)
	}
	held, err := s.Cut(time.Time{})
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
	if m := s.members[1]; m.ring.kind != rawIP || s.budget < 0 || s.budget > 32<<10 {
		t.Errorf("tun5: kind %v, budget %d", m.ring.kind, s.budget)
	}
}

// By default a lab's veth with an address is recorded, a bridge for its ports, and what
// comes later too; a container's veth is not.
func TestDefaultInterfaces(t *testing.T) {
	a, b := testns.Pair(t)
	in(t, a.NS, veth("port0", "in0"))
	in(t, a.NS, func() error {
		br := &netlink.Bridge{LinkAttrs: netlink.LinkAttrs{Name: "br0"}}
		if err := netlink.LinkAdd(br); err != nil {
			return err
		}
		port, err := netlink.LinkByName("port0")
		if err != nil {
			return err
		}
		if err := netlink.LinkSetMaster(port, br); err != nil {
			return err
		}
		return netlink.LinkSetUp(br)
	})
	in(t, a.NS, func() error { // as a container network without bridge leaves it
		err := netlink.LinkAdd(&netlink.Veth{LinkAttrs: netlink.LinkAttrs{Name: "cali0"}, PeerName: "eth0", PeerNamespace: netlink.NsFd(b.NS)})
		if err != nil {
			return err
		}
		return setUp("cali0", true)()
	})
	s := arm(t, a.NS, SetConfig{Bytes: 16 << 20})
	if got := names(s); got != "br0 in0 veth-a" {
		t.Errorf("recorded by default: %s", got)
	}
	in(t, a.NS, veth("late0", "late1"))
	eventually(t, "late interfaces", func() bool { return names(s) == "br0 in0 late0 late1 veth-a" })
	in(t, a.NS, remove("late0"))
	eventually(t, "their removal", func() bool {
		n := 0
		for _, st := range s.Status() {
			if st.State == Missing {
				n++
			}
		}
		return n == 2
	})
}

// names lists what is or was recorded.
func names(s *Set) string {
	var some []string
	for _, st := range s.Status() {
		if st.RingBytes > 0 {
			some = append(some, st.Name)
		}
	}
	slices.Sort(some)
	return strings.Join(some, " ")
}

// Where only a container's kind of veth is there, it is the way out.
func TestOnlyVeth(t *testing.T) {
	b := testns.New(t)
	ns := testns.New(t)
	in(t, ns, func() error {
		err := netlink.LinkAdd(&netlink.Veth{LinkAttrs: netlink.LinkAttrs{Name: "out0"}, PeerName: "peer", PeerNamespace: netlink.NsFd(b)})
		if err != nil {
			return err
		}
		return setUp("out0", true)()
	})
	if got := names(arm(t, ns, SetConfig{Bytes: 4 << 20})); got != "out0" {
		t.Errorf("recorded by default: %q", got)
	}
}

// Armed before there is any network: what comes up first is recorded.
func TestArmedBeforeNetwork(t *testing.T) {
	ns := testns.New(t)
	s := arm(t, ns, SetConfig{Bytes: 8 << 20})
	if file, stats := cutNow(t, s); len(stats) != 0 || len(frames(t, file)) != 0 {
		t.Errorf("stats %+v", stats)
	}
	in(t, ns, veth("eth0", "eth1"))
	eventually(t, "both", func() bool { return names(s) == "eth0 eth1" })
}

// More interfaces than the memory does for: the others are named, and get what is left
// when one goes.
func TestMemoryIsSpent(t *testing.T) {
	ns := testns.New(t)
	in(t, ns, veth("eth0", "eth1"))
	var j journal
	s := arm(t, ns, SetConfig{Bytes: 640 << 10, Notify: j.add})
	if got := names(s); len(strings.Fields(got)) != 1 || !j.saw("is not recorded", "larger --ring") {
		t.Errorf("recorded: %s, events %v", got, j.events)
	}
	testns.Do(t, ns, func() {
		if _, err := OpenSet(SetConfig{Bytes: 640 << 10, Interfaces: []string{"eth0", "eth1"}}); err == nil {
			t.Error("both were armed when named")
		}
	})
	for i, st := range s.Status() {
		if st.RingBytes == 0 && (st.State != NotRecorded || st.Reason == "") {
			t.Errorf("%d: %+v", i, st)
		}
	}
	if _, stats := cutNow(t, s); len(stats) != 2 || stats[1].RingBytes != 0 {
		t.Errorf("stats %+v", stats)
	}
}

// addOrSkip makes a link whose driver this kernel may not have.
func addOrSkip(t testing.TB, ns netns.NsHandle, l netlink.Link) {
	t.Helper()
	var err error
	testns.Do(t, ns, func() { err = netlink.LinkAdd(l) })
	if errors.Is(err, unix.EOPNOTSUPP) {
		t.Skipf("make a %s: this kernel has no driver for it", l.Type())
	}
	if err != nil {
		t.Fatal(err)
	}
}

// A VLAN device is not recorded twice: its packets are on the device below, with their tag.
func TestVLANDevice(t *testing.T) {
	a, b := testns.Pair(t)
	for _, end := range []testns.Ends{a, b} {
		var parent int
		testns.Do(t, end.NS, func() { parent = index(t, end.Link) })
		addOrSkip(t, end.NS, &netlink.Vlan{LinkAttrs: netlink.LinkAttrs{Name: "lan77", ParentIndex: parent}, VlanId: 77})
		in(t, end.NS, setUp("lan77", true))
	}
	s := arm(t, b.NS, SetConfig{Bytes: 4 << 20, Filter: Filter{Payload: 16}})
	if got := names(s); got != b.Link {
		t.Errorf("recorded by default: %s", got)
	}
	if err := openWire(t, a.NS, "lan77").send(numbered(0, 1, 100)); err != nil {
		t.Fatal(err)
	}
	if err := openWire(t, b.NS, "lan77").send(numbered(0, 2, 100)); err != nil {
		t.Fatal(err)
	}
	tagged := func() (n int) {
		file, _ := cutNow(t, s)
		for _, f := range frames(t, file) {
			// 58 bytes of headers and number, and the tag that the kernel had taken off.
			if f.data[12] == 0x81 && f.data[15] == 77 && f.data[16] == 8 && f.Length == 104 && len(f.data) == 62 {
				n++
			}
		}
		return n
	}
	eventually(t, "a tagged packet each way", func() bool { return tagged() == 2 })
}

// A bond shows the packets of its members, and is recorded instead of them.
func TestBond(t *testing.T) {
	ns := testns.New(t)
	bond := netlink.NewLinkBond(netlink.LinkAttrs{Name: "bond0"})
	bond.Mode = netlink.BOND_MODE_ACTIVE_BACKUP
	addOrSkip(t, ns, bond)
	in(t, ns, veth("eth0", "peer0"))
	in(t, ns, func() error {
		if err := setUp("eth0", false)(); err != nil { // a bond takes members that are down
			return err
		}
		member, err := netlink.LinkByName("eth0")
		if err != nil {
			return err
		}
		if err := netlink.LinkSetBondSlave(member, bond); err != nil {
			return err
		}
		return setUp("bond0", true)()
	})
	s := arm(t, ns, SetConfig{Bytes: 4 << 20, Filter: Filter{Payload: 16}})
	if got := names(s); got != "bond0 peer0" {
		t.Fatalf("recorded by default: %s", got)
	}
	w := openWire(t, ns, "peer0")
	bonded := slices.IndexFunc(s.Status(), func(st Status) bool { return st.Name == "bond0" })
	var next uint64
	eventually(t, "packets through the bond", func() bool { // once its member is active
		if err := w.send(numbered(0, next, 0)); err != nil {
			t.Fatal(err)
		}
		next++
		return s.Status()[bonded].Packets > 3
	})
}
