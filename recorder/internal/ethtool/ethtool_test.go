//go:build linux

package ethtool

import (
	"errors"
	"strings"
	"testing"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/spikebox/spikebox/recorder/internal/testns"
)

// ask calls f with a socket of the namespace that has one end of a veth pair.
func ask(t *testing.T, f func(c *Conn, link string)) {
	t.Helper()
	a, _ := testns.Pair(t)
	testns.Do(t, a.NS, func() {
		c, err := Open()
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		f(c, a.Link)
	})
}

// A veth pair answers what drivers/net/veth.c says, on every kernel: 10 Gbit/s full duplex,
// no rings, no pause frames, statistics of each queue.
func TestVeth(t *testing.T) {
	ask(t, func(c *Conn, link string) {
		if d, err := c.Driver(link); err != nil || d.Name != "veth" || d.Version != "1.0" || d.Bus != "" {
			t.Errorf("driver %+v (%v)", d, err)
		}
		l, err := c.Link(link)
		if err != nil {
			t.Fatal(err)
		}
		if l.Speed == nil || *l.Speed != 10_000 || l.Duplex != "full" || l.Autonegotiation == nil || *l.Autonegotiation ||
			l.Detected == nil || !*l.Detected {
			t.Errorf("link %+v", l)
		}
		if n, err := c.Numbers(link, Channels); err == nil && (n["rx"] == 0 || n["tx"] == 0 || n["rx"] > n["rx_max"]) {
			t.Errorf("channels %v", n) // veth has them since 5.13
		}
		if n, err := c.Numbers(link, Pause); !errors.Is(err, unix.EOPNOTSUPP) {
			t.Errorf("pause %v, %v; want what a driver says that does not know the question", n, err)
		}
	})
}

// Without its peer up an interface has no carrier, and says so.
func TestLinkFollowsCarrier(t *testing.T) {
	a, b := testns.Pair(t)
	testns.Do(t, b.NS, func() {
		l, err := netlink.LinkByName(b.Link)
		if err != nil {
			t.Fatal(err)
		}
		if err := netlink.LinkSetDown(l); err != nil {
			t.Fatal(err)
		}
	})
	testns.Do(t, a.NS, func() {
		c, err := Open()
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		if l, err := c.Link(a.Link); err != nil || l.Detected == nil || *l.Detected {
			t.Errorf("link %+v (%v), want none detected", l, err)
		}
	})
}

// Every name has its own value: peer_ifindex, which veth counts among its statistics, is the
// index of the other end, and the offloads are those that are switched.
func TestNamesAndValuesAreOfEachOther(t *testing.T) {
	testns.Run(t, func() {
		pair := &netlink.Veth{LinkAttrs: netlink.LinkAttrs{Name: "here", Index: 71}, PeerName: "there"}
		if err := netlink.LinkAdd(pair); err != nil {
			t.Fatal(err)
		}
		there, err := netlink.LinkByName("there")
		if err != nil {
			t.Fatal(err)
		}
		c, err := Open()
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		stats, err := c.Statistics("here")
		if err != nil || stats["peer_ifindex"] != uint64(there.Attrs().Index) {
			t.Errorf("statistics %v (%v), want peer_ifindex %d", stats, err, there.Attrs().Index)
		}
		back, err := c.Statistics("there")
		if err != nil || back["peer_ifindex"] != 71 {
			t.Errorf("statistics %v (%v), want peer_ifindex 71", back, err)
		}
		for name := range stats {
			if name == "" || strings.ContainsAny(name, "\x00 ") {
				t.Errorf("a statistic is called %q", name)
			}
		}
		features, err := c.Features("here")
		if err != nil {
			t.Fatal(err)
		}
		// VETH_FEATURES is on and may be changed; what takes hardware cannot be had.
		for name, want := range map[string]string{
			"tx-checksum-ip-generic": "on", "tx-tcp-segmentation": "on", "rx-fcs": "off [fixed]", "hw-tc-offload": "off [fixed]",
		} {
			if features[name] != want {
				t.Errorf("feature %s is %q, want %q", name, features[name], want)
			}
		}
	})
}

func TestNoSuchInterface(t *testing.T) {
	ask(t, func(c *Conn, _ string) {
		if d, err := c.Driver("eth9"); !errors.Is(err, unix.ENODEV) {
			t.Errorf("driver %+v, %v", d, err)
		}
		// Cut to what struct ifreq holds, a name of 20 characters is another interface's.
		if d, err := c.Driver("an-interface-of-2020"); !errors.Is(err, unix.ENODEV) {
			t.Errorf("driver %+v, %v", d, err)
		}
	})
}
