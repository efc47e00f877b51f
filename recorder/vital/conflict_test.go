//go:build linux

package vital

import (
	"errors"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/spikebox/spikebox/recorder/internal/testns"
)

// arp is a packet by which somebody claims an address.
func arp(link [6]byte, addr string) []byte {
	b := make([]byte, 28)
	copy(b, "\x00\x01\x08\x00\x06\x04\x00\x01")
	copy(b[8:], link[:])
	copy(b[14:], netip.MustParseAddr(addr).AsSlice())
	return b
}

// Only another's claim of an own address is a conflict, and only one that comes again.
func TestConflicts(t *testing.T) {
	testns.Run(t, func() { conflicts(t) })
}

func conflicts(t *testing.T) {
	for _, line := range []string{
		"link add eth0 type veth peer name eth1", "link set eth0 up", "link set eth1 up", "link set lo up",
		"addr add 192.0.2.1/24 dev eth0", "addr add 192.0.2.7/32 dev lo",
	} {
		if out, err := exec.Command("ip", strings.Fields(line)...).CombinedOutput(); err != nil {
			t.Fatalf("ip %s: %v: %s", line, err, out)
		}
	}
	r, err := openConflicts(Env{})
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	own, err := net.InterfaceByName("eth1")
	if err != nil {
		t.Fatal(err)
	}
	say := sender(t, own.Index)
	other, now, out := [6]byte{2, 0, 0, 0, 0, 9}, time.Now(), make([]float64, 1)
	read := func(want float64, story string) {
		t.Helper()
		if err := r.Read(now, out); err != nil || out[0] != want {
			t.Errorf("%s: %v conflicts, want %v (%v)", story, out[0], want, err)
		}
		now = now.Add(2 * time.Second)
	}
	for range 2 {
		say(arp(other, "192.0.2.2"))
		say(arp(other, "0.0.0.0"))                          // a probe
		say(arp(other, "192.0.2.7"))                        // an address of several hosts, of none of which it is on a wire
		say(arp([6]byte(own.HardwareAddr), "192.0.2.1"))    // an own interface
		say([]byte("\x00\x01\x86\xdd\x06\x10 of no IPv4 ")) // and what is no ARP of Ethernet and IPv4
		read(0, "nobody else claims what is this host's")
	}
	say(arp(other, "192.0.2.1"))
	say(arp(other, "192.0.2.1"))
	read(0, "a takeover")
	say(arp(other, "192.0.2.1"))
	read(1, "it speaks on")
	now = now.Add(conflictStays)
	read(0, "long ago")
	say(arp(other, "192.0.2.1"))
	read(0, "claimed anew")
	if out, err := exec.Command("ip", "addr", "del", "192.0.2.1/24", "dev", "eth0").CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	say(arp(other, "192.0.2.1"))
	read(0, "this host has given it up")
}

// sender sends ARP to everybody on an interface's wire. What it sends is there when it returns, as on a veth pair it is
// received by the softirq that sends.
func sender(t *testing.T, index int) func([]byte) {
	fd, err := unix.Socket(unix.AF_PACKET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { unix.Close(fd) })
	return func(b []byte) {
		to := &unix.SockaddrLinklayer{Protocol: 0x0608, Ifindex: index, Halen: 6, Addr: [8]byte{255, 255, 255, 255, 255, 255}}
		if err := unix.Sendto(fd, b, 0, to); err != nil {
			t.Fatal(err)
		}
		time.Sleep(5 * time.Millisecond)
	}
}

// The kernel's own word of an address of IPv6 that a neighbour has: news for half a minute, unless it was so before.
func TestConflictsIPv6(t *testing.T) {
	testns.Run(t, func() {
		run := func(line string) {
			t.Helper()
			if out, err := exec.Command("ip", strings.Fields(line)...).CombinedOutput(); err != nil {
				t.Fatalf("ip %s: %v: %s", line, err, out)
			}
		}
		run("link add eth0 type veth peer name eth1")
		for _, line := range []string{"link set eth0 up", "link set eth1 up", "addr add 2001:db8::1/64 dev eth1 nodad", "addr add 2001:db8::2/64 dev eth1 nodad"} {
			run(line)
		}
		root := t.TempDir()
		if err := errors.Join(os.Mkdir(filepath.Join(root, "proc"), 0o755), os.Symlink("/proc/thread-self/net", filepath.Join(root, "proc/net"))); err != nil {
			t.Fatal(err)
		}
		now := time.Now()
		look := func(s *sixes) int {
			t.Helper()
			now = now.Add(time.Second)
			n, err := s.conflicts(now)
			if err != nil {
				t.Fatal(err)
			}
			return n
		}
		open := func() *sixes {
			t.Helper()
			s, err := openSixes(root)
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { s.close() })
			return &s
		}
		failed := func(addr string) {
			t.Helper()
			run("addr add " + addr + "/64 dev eth0")
			for deadline := time.Now().Add(time.Minute); ; time.Sleep(50 * time.Millisecond) {
				out, err := exec.Command("ip", "-6", "addr", "show", "dev", "eth0", "dadfailed", "to", addr).CombinedOutput()
				if err == nil && len(out) > 0 {
					return
				}
				if time.Now().After(deadline) {
					t.Fatalf("the kernel has not found %s in use: %v: %s", addr, err, out)
				}
			}
		}
		s := open()
		if n := look(s); n != 0 {
			t.Errorf("%d conflicts where each address is one machine's", n)
		}
		failed("2001:db8::1")
		if n := look(s); n != 1 {
			t.Errorf("%d conflicts, want one", n)
		}
		late := open()
		for range 2 {
			if look(late) != 0 {
				t.Error("what was so before the recorder came is told")
			}
		}
		failed("2001:db8::2")
		if n := look(s); n != 2 {
			t.Errorf("%d conflicts, want two", n)
		}
		run("addr del 2001:db8::1/64 dev eth0")
		if n := look(s); n != 1 {
			t.Errorf("%d conflicts after one was given up, want one", n)
		}
		now = now.Add(conflictStays)
		if n := look(s); n != 0 {
			t.Errorf("%d conflicts after %v, want none", n, conflictStays)
		}
	})
}

func TestParseSix(t *testing.T) {
	for line, want := range map[string]bool{
		"00000000000000000000000000000001 01 80 10 80       lo":   false,
		"20010db8000000000000000000000001 02 40 00 88     eth0":   true,
		"20010db8000000000000000000000001 1a3f 40 00 08 eth0.100": true,
		"20010db8000000000000000000000001 02 40 00 c0     eth0":   false, // tentative, permanent
	} {
		if who, failed, err := parseSix([]byte(line)); err != nil || failed != want || !strings.HasPrefix(line, string(who)+" ") {
			t.Errorf("%q: %q, failed %v, %v", line, who, failed, err)
		}
	}
	for _, line := range []string{"", "20010db8000000000000000000000001 02 40 00", "a b c d e"} {
		if who, failed, err := parseSix([]byte(line)); err == nil {
			t.Errorf("%q is taken for %q, failed %v", line, who, failed)
		}
	}
}
