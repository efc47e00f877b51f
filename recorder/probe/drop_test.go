//go:build linux

package probe

import (
	"errors"
	"io"
	"net"
	"net/netip"
	"testing"
	"time"

	"github.com/vishvananda/netns"
	"golang.org/x/sys/unix"

	"github.com/spikebox/spikebox/recorder/internal/testns"
)

// dropped is how often each of a neighbourhood's drops is caused; all of them together stay
// below what is told of a kind in one window and CPU.
const dropped = 4

// cause has the kernel drop packets in a namespace at every place that knows less of them
// than the last: with a device, with a socket, with neither. All addresses are in 10.NET.0.0/16
// and 127.NET.0.0/16.
func cause(t *testing.T, ns netns.NsHandle, net byte, w io.Writer, times int) {
	t.Helper()
	here, there, lo := [4]byte{10, net, 0, 1}, [4]byte{10, net, 0, 2}, [4]byte{127, net, 0, 1}
	testns.Do(t, ns, func() {
		listen(t, here, 80, 0)
		fullSocket(t, lo)
		unreadConnection(t, lo)
	})
	for i := range times {
		for _, p := range [][]byte{
			segment(there, here, uint16(2000+i), 9, flagSYN), // nobody listens: tcp_v4_rcv knows the device
			segment(there, here, uint16(3000+i), 80, 0),      // a listener drops it: the device is forgotten
			segment(there, here, uint16(3100+i), 80, flagRST),
			segment(there, [4]byte{10, net, 9, 9}, uint16(4000+i), 9, flagSYN), // another host's
		} {
			_, err := w.Write(p)
			must(t, err)
		}
	}
}

// fullSocket sends a UDP socket more than it has room for, and closes it with what it has.
func fullSocket(t *testing.T, at [4]byte) {
	t.Helper()
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	must(t, err)
	defer unix.Close(fd)
	must(t, unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUF, 1))
	to := &unix.SockaddrInet4{Addr: at, Port: 5000}
	must(t, unix.Bind(fd, to))
	for range 4 + dropped {
		must(t, unix.Sendto(fd, make([]byte, 1000), 0, to))
	}
}

// unreadConnection closes a connection with data that nobody has read.
func unreadConnection(t *testing.T, at [4]byte) {
	t.Helper()
	l, err := net.ListenTCP("tcp4", &net.TCPAddr{IP: at[:], Port: 90})
	must(t, err)
	defer l.Close()
	c, err := net.DialTCP("tcp4", nil, l.Addr().(*net.TCPAddr))
	must(t, err)
	defer c.Close()
	accepted, err := l.AcceptTCP()
	must(t, err)
	_, err = c.Write(make([]byte, 1000))
	must(t, err)
	must(t, accepted.Close())
}

// What another namespace drops is not told, though some of these packets carry neither
// device nor socket: those are counted by reason and place, marked, and have no address.
func TestDropsOfOthersAreNotTold(t *testing.T) {
	const ours, theirs = 9, 66
	own, other := testns.New(t), testns.New(t)
	near, far := wire(t, own, "10.9.0.1/24"), wire(t, other, "10.66.0.1/24")
	go drain(near)
	go drain(far)
	s := armAll(t, Options{NetNS: inode(t, own)})
	cause(t, other, theirs, far, 3*dropped)
	cause(t, own, ours, near, dropped)
	eventually(t, "resets sent", func() bool {
		return counter(t, own, "Tcp", "OutRsts") >= dropped && counter(t, other, "Tcp", "OutRsts") >= 3*dropped
	})
	got := told{}
	got.drain(t, s)
	reasons := map[string]int{}
	for kind, events := range got {
		for _, e := range events {
			for _, a := range []netip.Addr{e.Local.Addr(), e.Remote.Addr()} {
				if a.Is4() && a.As4()[1] == theirs || e.NetNS == inode(t, other) {
					t.Errorf("%v %s tells of the other namespace: %+v", kind, s.Names.Drop(e.Reason), e)
				}
			}
			if kind == Drop && e.NetNS != inode(t, own) {
				t.Errorf("drop %s of an unknown namespace is told: %+v", s.Names.Drop(e.Reason), e)
			}
			if kind == Drop && e.Local.IsValid() && (e.Local.Port() == 9 || e.Local.Port() == 80) {
				reasons[s.Names.Drop(e.Reason)]++
			}
		}
	}
	checkOwnDrops(t, s, reasons)
}

// checkOwnDrops expects this namespace's drops as events, by reason where the kernel has them,
// and as counts.
func checkOwnDrops(t *testing.T, s *Set, reasons map[string]int) {
	t.Helper()
	drops, err := s.Drops.Read(nil)
	must(t, err)
	known, unknown := map[string]uint64{}, uint64(0)
	for _, d := range drops {
		if d.Unattributed {
			unknown += d.Count
			continue
		}
		known[s.Names.Drop(d.Reason)] += d.Count
	}
	t.Logf("events %v, counts %v, of an unknown namespace %d", reasons, known, unknown)
	want := []string{"NO_SOCKET"}
	if kernel, err := alone().tracepointArgs("kfree_skb"); err != nil || kernel < 3 {
		want = []string{""}
	} else if kernel >= 4 { // the kernel names the receiving socket
		want = append(want, "TCP_FLAGS", "TCP_RESET")
	}
	for _, reason := range want {
		if reasons[reason] < dropped || known[reason] < dropped {
			t.Errorf("%d events and %d packets for %q, want %d", reasons[reason], known[reason], reason, dropped)
		}
	}
	if known["NO_SOCKET"] > dropped {
		t.Errorf("%d packets without socket, of which %d are this namespace's", known["NO_SOCKET"], dropped)
	}
}

// What a closed connection leaves in its queues is thrown away with them, and is no drop: else
// every connection that ends well would be one.
func TestClosingDropsNothing(t *testing.T) {
	testns.Run(t, func() {
		s := armAll(t, Options{})
		l, err := net.Listen("tcp4", "127.0.0.1:0")
		must(t, err)
		defer l.Close()
		for range dropped {
			c, err := net.Dial("tcp4", l.Addr().String())
			must(t, err)
			accepted, err := l.Accept()
			must(t, err)
			_, err = c.Write([]byte("hello"))
			must(t, err)
			_, err = io.ReadFull(accepted, make([]byte, 5))
			must(t, err)
			must(t, errors.Join(accepted.Close(), c.Close()))
		}
		time.Sleep(100 * time.Millisecond) // nothing tells that nothing will come
		drops, err := s.Drops.Read(nil)
		must(t, err)
		for _, d := range drops { // of other namespaces there may be some
			if s.Names.Drop(d.Reason) == "QUEUE_PURGE" {
				t.Errorf("%d packets that went with their queue count as dropped", d.Count)
			}
		}
	})
}
