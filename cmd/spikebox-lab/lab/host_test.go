//go:build linux

package lab

import (
	"bytes"
	"context"
	"errors"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// script plays f on a stage of its own, with real namespaces.
func script(t *testing.T, f func(*Stage)) {
	t.Helper()
	if os.Geteuid() != 0 {
		if os.Getenv("CI") == "true" {
			t.Fatal("make network namespaces: not root (CI must be)")
		}
		t.Skip("needs root: run make test as root")
	}
	t.Parallel()
	s, err := newStage(context.Background(), &Incident{Name: "test"}, Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer s.close()
	if err := s.play(f); err != nil {
		t.Fatal(err)
	}
}

// room makes sockets with room for every datagram of a test: the usual receive buffer is
// full after 90 of them, and what it drops would pass for the firewall's work.
var room = net.ListenConfig{Control: func(_, _ string, c syscall.RawConn) (err error) {
	cerr := c.Control(func(fd uintptr) {
		err = unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, 4<<20)
	})
	return errors.Join(cerr, err)
}}

// datagrams sends n datagrams from an address of one host to another and returns how
// many arrived within a second after the last that did, and how long the last took.
func datagrams(s *Stage, src *Host, addr string, dst *Host, n int) (arrived int, last time.Duration) {
	var in, out net.PacketConn
	dst.must(func() (err error) { in, err = room.ListenPacket(s.ctx, "udp4", dst.Addr+":0"); return err })
	defer in.Close()
	src.must(func() (err error) { out, err = net.ListenPacket("udp4", addr+":0"); return err })
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
	script(t, func(s *Stage) {
		edge, clients := s.Edge(), s.Clients()
		for _, addr := range []string{clients.Addr, Addresses(HealthyNet, 1)[0], Addresses(CrowdNet, 200)[199]} {
			if n, _ := datagrams(s, clients, addr, edge, 3); n != 3 {
				t.Errorf("%d of 3 datagrams arrived from %s", n, addr)
			}
		}
		// Each host has its own name, and a /sys that shows its own interfaces.
		edge.must(func() error {
			name, err := os.Hostname()
			links, lerr := os.ReadDir("/sys/class/net")
			if name != "edge-1" || len(links) != 2 || lerr != nil {
				t.Errorf("host %q has the interfaces %v (%v)", name, links, lerr)
			}
			return err
		})
	})
}

func TestFirewall(t *testing.T) {
	script(t, func(s *Stage) {
		edge, clients := s.Edge(), s.Clients()
		edge.Drop(Input, From(CrowdNet))
		if n, _ := datagrams(s, clients, Addresses(CrowdNet, 1)[0], edge, 3); n != 0 {
			t.Errorf("%d datagrams came through the rule", n)
		}
		if n, _ := datagrams(s, clients, Addresses(HealthyNet, 1)[0], edge, 3); n != 3 {
			t.Errorf("the rule dropped %d datagrams that it does not match", 3-n)
		}
		edge.Permit()
		if n, _ := datagrams(s, clients, Addresses(CrowdNet, 1)[0], edge, 3); n != 3 {
			t.Errorf("%d of 3 datagrams arrived after the rule was removed", n)
		}
		// One in two: 200 datagrams leave less than 1 in 10^12 for a miss.
		s.Router().Drop(Forward, Chance(500))
		if n, _ := datagrams(s, clients, clients.Addr, edge, 200); n < 50 || n > 150 {
			t.Errorf("%d of 200 datagrams arrived past a rule that drops every second", n)
		}
	})
}

func TestShape(t *testing.T) {
	script(t, func(s *Stage) {
		edge, clients := s.Edge(), s.Clients()
		s.Router().Shape("edge-1", 100_000, 1<<20)
		// 100 kB at 100 kB/s, of which the bucket lets 6 kB through at once.
		if n, last := datagrams(s, clients, clients.Addr, edge, 100); n != 100 || last < 800*time.Millisecond {
			t.Errorf("%d of 100 datagrams arrived, the last after %v; want all, in about a second", n, last)
		}
	})
}

func TestConntrackRemembers(t *testing.T) {
	script(t, func(s *Stage) {
		edge := s.Edge()
		edge.Track()
		edge.Remember(SpoofNet, 0, 500, 443)
		edge.Remember(SpoofNet, 500, 500, 443)
		edge.must(func() error {
			count, err := os.ReadFile("/proc/sys/net/netfilter/nf_conntrack_count")
			if string(count) != "1000\n" {
				t.Errorf("%q connections are tracked, want 1000", count)
			}
			return err
		})
	})
}

func TestAddresses(t *testing.T) {
	list := Addresses(CrowdNet, 3)
	if len(list) != 3 || list[0] != "203.0.113.11" || list[2] != "203.0.113.13" {
		t.Errorf("addresses %v", list)
	}
	if gw := gateway(netip.MustParsePrefix(clientsAddr)); gw.String() != "100.64.0.1" {
		t.Errorf("gateway %v, want 100.64.0.1", gw)
	}
}

// The recorder is less nice than what else is started on its host, before and after it.
func TestRecorderIsAhead(t *testing.T) {
	script(t, func(s *Stage) {
		h, err := s.newHost("niced")
		s.check(err)
		defer h.close()
		nice := func(spawn func(*exec.Cmd) error) (n int) {
			cmd := exec.Command("nice") // without arguments it prints its own
			var out bytes.Buffer
			cmd.Stdout = &out
			s.check(spawn(cmd))
			s.check(cmd.Wait())
			n, err := strconv.Atoi(strings.TrimSpace(out.String()))
			s.check(err)
			return n
		}
		usual := nice(h.spawn)
		if got := nice(h.spawnAhead); got != max(usual-ahead, -20) {
			t.Errorf("niceness of the recorder is %d, of its host's programs %d", got, usual)
		}
		if got := nice(h.spawn); got != usual {
			t.Errorf("niceness of what is started after the recorder is %d, and was %d", got, usual)
		}
	})
}
