//go:build linux

package capture

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netns"
	"golang.org/x/sys/unix"

	"github.com/spikebox/spikebox/recorder/internal/testns"
)

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
		t.Skipf("needs a kernel with a driver for a %s: modprobe it", l.Type())
	}
	if err != nil {
		t.Fatal(err)
	}
}

// A VLAN device is not recorded twice: its packets are on the device below, with their tag.
func TestVLANDevice(t *testing.T) { eachWay(t, testVLANDevice) }

func testVLANDevice(t *testing.T, way Way) {
	a, b := testns.Pair(t)
	for _, end := range []testns.Ends{a, b} {
		var parent int
		testns.Do(t, end.NS, func() { parent = index(t, end.Link) })
		addOrSkip(t, end.NS, &netlink.Vlan{LinkAttrs: netlink.LinkAttrs{Name: "lan77", ParentIndex: parent}, VlanId: 77})
		in(t, end.NS, setUp("lan77", true))
	}
	s := arm(t, b.NS, SetConfig{Way: way, Bytes: 4 << 20, Filter: Filter{Payload: 16}})
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
