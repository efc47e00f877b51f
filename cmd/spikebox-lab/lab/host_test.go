//go:build linux

package lab

import (
	"context"
	"net"
	"net/netip"
	"os"
	"testing"
	"time"

	"github.com/google/nftables"
)

// script plays f on a stage of its own, with real namespaces.
func script(t *testing.T, f func(*stage)) {
	t.Helper()
	if os.Geteuid() != 0 {
		if os.Getenv("CI") == "true" {
			t.Fatal("make network namespaces: not root (CI must be)")
		}
		t.Skip("needs root: run make test as root")
	}
	t.Parallel()
	s, err := newStage(context.Background(), healthy, Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer s.close()
	if err := s.play(f); err != nil {
		t.Fatal(err)
	}
}

// datagrams sends n datagrams from an address of one host to another and returns how
// many arrived within a second after the last that did, and how long the last took.
func datagrams(s *stage, src *host, addr string, dst *host, n int) (arrived int, last time.Duration) {
	var in, out net.PacketConn
	s.check(dst.do(func() (err error) { in, err = net.ListenPacket("udp4", dst.addr+":0"); return err }))
	defer in.Close()
	s.check(src.do(func() (err error) { out, err = net.ListenPacket("udp4", addr+":0"); return err }))
	defer out.Close()
	start := time.Now()
	for range n {
		_, err := out.WriteTo(make([]byte, 1000), in.LocalAddr())
		s.check(err)
	}
	for buf := make([]byte, 2000); ; arrived++ {
		in.SetReadDeadline(time.Now().Add(time.Second))
		if _, _, err := in.ReadFrom(buf); err != nil {
			return arrived, last
		}
		last = time.Since(start)
	}
}

func TestHostsAreJoined(t *testing.T) {
	script(t, func(s *stage) {
		edge, clients := s.edge(), s.clients()
		for _, addr := range []string{clients.addr, addresses(healthyNet, 1)[0], addresses(crowdNet, 200)[199]} {
			if n, _ := datagrams(s, clients, addr, edge, 3); n != 3 {
				t.Errorf("%d of 3 datagrams arrived from %s", n, addr)
			}
		}
		// Each host has its own name, and a /sys that shows its own interfaces.
		s.check(edge.do(func() error {
			name, err := os.Hostname()
			links, lerr := os.ReadDir("/sys/class/net")
			if name != "edge-1" || len(links) != 2 || lerr != nil {
				t.Errorf("host %q has the interfaces %v (%v)", name, links, lerr)
			}
			return err
		}))
	})
}

func TestFirewall(t *testing.T) {
	script(t, func(s *stage) {
		edge, clients := s.edge(), s.clients()
		s.check(edge.drop(nftables.ChainHookInput, from(ipNet(crowdNet))))
		if n, _ := datagrams(s, clients, addresses(crowdNet, 1)[0], edge, 3); n != 0 {
			t.Errorf("%d datagrams came through the rule", n)
		}
		if n, _ := datagrams(s, clients, addresses(healthyNet, 1)[0], edge, 3); n != 3 {
			t.Errorf("the rule dropped %d datagrams that it does not match", 3-n)
		}
		s.check(edge.permit())
		if n, _ := datagrams(s, clients, addresses(crowdNet, 1)[0], edge, 3); n != 3 {
			t.Errorf("%d of 3 datagrams arrived after the rule was removed", n)
		}
		// One in two: 200 datagrams leave less than 1 in 10^12 for a miss.
		s.check(s.router.drop(nftables.ChainHookForward, chance(500)))
		if n, _ := datagrams(s, clients, clients.addr, edge, 200); n < 50 || n > 150 {
			t.Errorf("%d of 200 datagrams arrived past a rule that drops every second", n)
		}
	})
}

func TestShape(t *testing.T) {
	script(t, func(s *stage) {
		edge, clients := s.edge(), s.clients()
		s.check(s.router.shape("edge-1", 100_000, 1<<20))
		// 100 kB at 100 kB/s, of which the bucket lets 6 kB through at once.
		if n, last := datagrams(s, clients, clients.addr, edge, 100); n != 100 || last < 800*time.Millisecond {
			t.Errorf("%d of 100 datagrams arrived, the last after %v; want all, in about a second", n, last)
		}
	})
}

func TestConntrackRemembers(t *testing.T) {
	script(t, func(s *stage) {
		edge := s.edge()
		s.check(edge.track())
		s.check(edge.remember(spoofNet, 0, 500, 443))
		s.check(edge.remember(spoofNet, 500, 500, 443))
		s.check(edge.do(func() error {
			count, err := os.ReadFile("/proc/sys/net/netfilter/nf_conntrack_count")
			if string(count) != "1000\n" {
				t.Errorf("%q connections are tracked, want 1000", count)
			}
			return err
		}))
	})
}

func TestAddresses(t *testing.T) {
	list := addresses(crowdNet, 3)
	if len(list) != 3 || list[0] != "203.0.113.11" || list[2] != "203.0.113.13" {
		t.Errorf("addresses %v", list)
	}
	if gw := gateway(netip.MustParsePrefix(clientsAddr)); gw.String() != "100.64.0.1" {
		t.Errorf("gateway %v, want 100.64.0.1", gw)
	}
}
