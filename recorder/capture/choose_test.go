//go:build linux

package capture

import (
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

func TestChoose(t *testing.T) {
	const up = unix.IFF_UP
	lo := link{index: 1, name: "lo", flags: up | unix.IFF_LOOPBACK, hardware: unix.ARPHRD_LOOPBACK}
	eth0 := link{index: 2, name: "eth0", flags: up}
	for _, c := range []struct {
		name string
		all  []link
		want string
	}{
		{"server", []link{lo, eth0, {index: 3, name: "eth1"}}, "eth0"},
		{"bond", []link{lo, {index: 2, name: "eth0", flags: up, slave: "bond", master: 4}, {index: 3, name: "eth1", flags: up, slave: "bond", master: 4},
			{index: 4, name: "bond0", flags: up, driver: "bond"}}, "bond0"},
		{"team", []link{{index: 2, name: "eth0", flags: up, slave: "team", master: 3}, {index: 3, name: "team0", flags: up, driver: "team"}}, "team0"},
		{"bridged host", []link{{index: 2, name: "eth0", flags: up, slave: "bridge", master: 3}, {index: 3, name: "br0", flags: up, driver: "bridge"}}, "br0"},
		{"unknown master", []link{eth0, {index: 3, name: "x0", flags: up, master: 9}}, "eth0"},
		{"vrf", []link{{index: 2, name: "eth0", flags: up, slave: "vrf", master: 3}, {index: 3, name: "vrf0", flags: up, driver: "vrf"}}, "eth0"},
		{"vlan", []link{eth0, {index: 3, name: "eth0.7", flags: up, driver: "vlan", parent: 2}}, "eth0"},
		{"vlan on a bond", []link{{index: 2, name: "eth0", flags: up, slave: "bond", master: 4}, {index: 5, name: "bond0.7", flags: up, driver: "vlan", parent: 4},
			{index: 4, name: "bond0", flags: up, driver: "bond"}}, "bond0"},
		{"vlan on what is down", []link{{index: 2, name: "eth0"}, {index: 3, name: "eth0.7", flags: up, driver: "vlan", parent: 2}}, "eth0.7"},
		{"vlan of another namespace", []link{{index: 2, name: "eth1", flags: up}, {index: 3, name: "eth0.7", flags: up, driver: "vlan", parent: 2, foreign: true}}, "eth1 eth0.7"},
		{"bridged vlan", []link{eth0, {index: 3, name: "eth0.7", flags: up, driver: "vlan", parent: 2, slave: "bridge", master: 4},
			{index: 4, name: "br7", flags: up, driver: "bridge"}}, "eth0 br7"},
		{"containers", []link{eth0, {index: 3, name: "docker0", flags: up, driver: "bridge", address: true},
			{index: 4, name: "veth1", flags: up, driver: "veth", foreign: true, slave: "bridge", master: 3},
			{index: 5, name: "cali2", flags: up, driver: "veth", foreign: true}}, "eth0 docker0"},
		{"inside a container", []link{lo, {index: 2, name: "eth0", flags: up, driver: "veth", foreign: true, address: true}}, "eth0"},
		{"only a veth", []link{lo, {index: 2, name: "out0", flags: up, driver: "veth", foreign: true}}, "out0"},
		{"both ends here", []link{{index: 2, name: "a", flags: up, driver: "veth", parent: 3}, {index: 3, name: "b", flags: up, driver: "veth", parent: 2}}, "a b"},
		{"tunnel", []link{eth0, {index: 3, name: "tun0", flags: up, hardware: unix.ARPHRD_NONE, driver: "tun"}}, "eth0 tun0"},
		{"nothing", []link{lo}, ""},
	} {
		var got []string
		for _, l := range choose(c.all) {
			got = append(got, l.name)
		}
		if s := strings.Join(got, " "); s != c.want {
			t.Errorf("%s: chose %q, want %q", c.name, s, c.want)
		}
	}
}

func TestAllot(t *testing.T) {
	for _, c := range []struct {
		budget  int
		packets []uint64
	}{
		{64 << 20, []uint64{0}},
		{64 << 20, []uint64{1e9, 0, 10}},
		{3 * minRing(), []uint64{1 << 63, 1 << 63, 5}},
		{1 << 30, []uint64{5, 5, 5, 5, 5, 5, 5}},
	} {
		var some []link
		for _, n := range c.packets {
			some = append(some, link{packets: n})
		}
		sum := 0
		for i, size := range allot(c.budget, some) {
			sum += size
			if _, err := plan(size); err != nil {
				t.Errorf("%v of %d: %v", c.packets, c.budget, err)
			}
			if fair := c.budget / len(some) / 2; size < fair {
				t.Errorf("%v: number %d got %d, less than half of a fair share", c.packets, i, size)
			}
		}
		if sum > c.budget || sum < c.budget*99/100 {
			t.Errorf("%v: handed out %d of %d", c.packets, sum, c.budget)
		}
	}
	if s := allot(64<<20, []link{{packets: 1e9}, {}, {}, {}}); s[0] < 4*s[1] {
		t.Errorf("the busy one of four got %v", s)
	}
}

func TestPlan(t *testing.T) {
	for bytes := minRing(); bytes <= 2<<30; bytes += bytes/3 + 4096 {
		g, err := plan(bytes)
		if err != nil {
			t.Fatal(err)
		}
		if g.bytes() > bytes || g.bytes() < bytes*96/100 || g.blocks < minBlocks {
			t.Errorf("%d bytes: %+v", bytes, g)
		}
		// The kernel looks a quarter of the ring ahead of the open block.
		if g.reserve-g.spare <= g.blocks/4 || g.history() < g.blocks/2 {
			t.Errorf("%d bytes: reserve of %+v", bytes, g)
		}
	}
	if _, err := plan(minRing() - 1); err == nil {
		t.Error("a ring that is too small was planned")
	}
}
