//go:build linux

package probe

import (
	"fmt"
	"io"
	"net"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/spikebox/spikebox/recorder/internal/testns"
)

// collapse makes the kernel squeeze a full receive queue: the receiver has opened its
// window with a bulk transfer and then reads no more, while one-byte segments come in
// until their overhead fills the buffer (tcp_try_rmem_schedule, net/ipv4/tcp_input.c).
func collapse(t *testing.T, rmem, sends int, done func() bool) {
	t.Helper()
	sysctl(t, "ipv4/tcp_rmem", fmt.Sprintf("4096 %d %d", rmem, rmem))
	sysctl(t, "ipv4/tcp_wmem", "4096 65536 67108864")
	sysctl(t, "ipv4/tcp_autocorking", "0")
	quickLoopback(t)
	client, server := connected(t)
	go func() {
		client.Write(make([]byte, 16<<20))
	}()
	_, err := io.CopyN(io.Discard, server, 16<<20)
	must(t, err)
	raw, err := client.SyscallConn()
	must(t, err)
	byteOnly := []byte{1}
	for i := 0; i < sends && (i%1000 > 0 || !done()); i++ {
		var sent error
		must(t, raw.Write(func(fd uintptr) bool {
			// MSG_EOR keeps the sender from joining it with the next one.
			sent = unix.Sendto(int(fd), byteOnly, unix.MSG_EOR|unix.MSG_DONTWAIT, nil)
			return true // a full send queue is no harm: the receiver's is full as well
		}))
		if sent != nil && sent != unix.EAGAIN {
			t.Fatal(sent)
		}
	}
}

// quickLoopback has each segment acknowledged at once and never waits for a window.
func quickLoopback(t *testing.T) {
	t.Helper()
	lo, err := netlink.LinkByName("lo")
	must(t, err)
	for _, cidr := range []string{"127.0.0.0/8", "127.0.0.1/32"} {
		_, dst, err := net.ParseCIDR(cidr)
		must(t, err)
		must(t, netlink.RouteReplace(&netlink.Route{
			LinkIndex: lo.Attrs().Index, Dst: dst, Table: unix.RT_TABLE_LOCAL,
			Type: unix.RTN_LOCAL, Scope: netlink.SCOPE_HOST, Protocol: unix.RTPROT_KERNEL,
			Src: net.IPv4(127, 0, 0, 1), QuickACK: 1, InitCwnd: 20000,
		}))
	}
}

func connected(t *testing.T) (client, server *net.TCPConn) {
	t.Helper()
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	must(t, err)
	defer l.Close()
	c, err := net.Dial("tcp4", l.Addr().String())
	must(t, err)
	s, err := l.Accept()
	must(t, err)
	t.Cleanup(func() { c.Close(); s.Close() })
	return c.(*net.TCPConn), s.(*net.TCPConn)
}

func TestCollapseIsNamedByItsStacks(t *testing.T) {
	if testing.Short() {
		t.Skip("takes some seconds of CPU")
	}
	ns := testns.New(t)
	s := armAll(t, Options{NetNS: inode(t, ns), LongSoftirq: time.Millisecond, StackAge: 300 * time.Microsecond})
	must(t, s.Stacks.Watch(true))
	rmem := 4 << 20
	if inVM() {
		rmem = 1 << 20 // fewer segments to emulate
	}
	got := told{}
	var calls uint64
	testns.Do(t, ns, func() {
		collapse(t, rmem, 1500000, func() bool {
			got.drain(t, s)
			return len(got[Stack]) > 3 && counter(t, ns, "TcpExt", "PruneCalled") >= 3
		})
	})
	got.drain(t, s)
	pruned, collapsed := counter(t, ns, "TcpExt", "PruneCalled"), counter(t, ns, "TcpExt", "TCPRcvCollapsed")
	if pruned < 3 || collapsed == 0 {
		t.Fatalf("PruneCalled %d, TCPRcvCollapsed %d: the queue was not squeezed", pruned, collapsed)
	}
	if n := slices.IndexFunc(got[LongSoftirq], func(e Event) bool { return e.Reason == NetRX }); n < 0 {
		t.Errorf("no NET_RX of 1 ms among %d long softirqs", len(got[LongSoftirq]))
	}
	if s.Functions != nil {
		must(t, s.Functions.Read(func(_ int, function string, d *Durations) {
			if function == "tcp_collapse" {
				calls += d.Count
			}
		}))
		if calls < uint64(pruned) {
			t.Errorf("tcp_collapse returned %d times, PruneCalled is %d", calls, pruned)
		}
	}
	within := inside(t, got[Stack], "tcp_collapse")
	t.Logf("PruneCalled %d, TCPRcvCollapsed %d, tcp_collapse %d calls, %d of %d stacks inside it",
		pruned, collapsed, calls, within, len(got[Stack]))
	if within == 0 && !inVM() {
		t.Errorf("none of %d stacks is inside tcp_collapse", len(got[Stack]))
	}
}

// inside counts the stacks that hold a function.
func inside(t *testing.T, stacks []Event, function string) (n int) {
	t.Helper()
	var addresses []uint64
	for _, e := range stacks {
		addresses = append(addresses, e.Frames...)
	}
	symbols, err := (&Set{}).Symbols(addresses)
	must(t, err)
	for _, e := range stacks {
		if slices.ContainsFunc(e.Frames, func(a uint64) bool { return strings.HasPrefix(symbols.Function(a), function) }) {
			n++
		}
	}
	return n
}
