//go:build linux

package probe

import (
	"errors"
	"fmt"
	"net/netip"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/spikebox/spikebox/recorder/internal/testns"
)

func TestListenersCountHalfOpenExactly(t *testing.T) {
	const halfOpen = 5000
	ns := testns.New(t)
	w := wire(t, ns, "10.7.0.1/16")
	go drain(w)
	testns.Do(t, ns, func() {
		sysctl(t, "ipv4/tcp_syncookies", "0")
		sysctl(t, "ipv4/tcp_max_syn_backlog", "1000000")
		sysctl(t, "core/somaxconn", "1000000")
		listen(t, [4]byte{10, 7, 0, 1}, 80, 1000000)
		listen(t, [4]byte{10, 7, 0, 1}, 81, 16)
		probe := armListeners(t)
		for i := range halfOpen {
			src := [4]byte{10, 7, byte(1 + i/250%250), byte(1 + i%250)}
			_, err := w.Write(segment(src, [4]byte{10, 7, 0, 1}, uint16(1024+i/62500), 80, flagSYN))
			must(t, err)
		}
		var all []Listener
		eventually(t, "all half-open", func() bool {
			var err error
			all, err = probe.Read(all[:0])
			must(t, err)
			return find(t, all, 80).SynQueue >= halfOpen
		})
		if n := find(t, all, 80).SynQueue; n != halfOpen {
			t.Errorf("half-open on port 80: %d, want %d", n, halfOpen)
		}
		if n := find(t, all, 81).SynQueue; n != 0 {
			t.Errorf("half-open on port 81: %d, want 0", n)
		}
		if len(all) != 2 {
			t.Errorf("%d listeners in this namespace, want 2: %+v", len(all), all)
		}
		if a := testing.AllocsPerRun(10, func() { all, _ = probe.Read(all[:0]) }); a > 0 {
			t.Errorf("Read allocates %v times", a)
		}
	})
}

func TestListenersTellAcceptQueue(t *testing.T) {
	ns := testns.New(t)
	testns.Do(t, ns, func() {
		addr := [4]byte{127, 0, 0, 1}
		listen(t, addr, 80, 4)
		probe := armListeners(t)
		for range 12 {
			fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_NONBLOCK, 0)
			must(t, err)
			defer unix.Close(fd)
			unix.Connect(fd, &unix.SockaddrInet4{Addr: addr, Port: 80})
		}
		all, err := probe.Read(nil)
		must(t, err)
		// A backlog of 4 holds 5: the kernel compares with ">" (sk_acceptq_is_full).
		if l := find(t, all, 80); l.AcceptQueue != 5 || l.AcceptLimit != 4 {
			t.Errorf("accept queue %d of %d, want 5 of 4", l.AcceptQueue, l.AcceptLimit)
		}
		if l := find(t, all, 80); l.NetNS != inode(t, ns) || l.Addr != netip.MustParseAddrPort("127.0.0.1:80") {
			t.Errorf("listener is %+v", l)
		}
	})
}

func TestListenersTellIPv6(t *testing.T) {
	testns.Run(t, func() {
		fd, err := unix.Socket(unix.AF_INET6, unix.SOCK_STREAM, 0)
		must(t, err)
		defer unix.Close(fd)
		loopback := [16]byte{15: 1}
		must(t, unix.Bind(fd, &unix.SockaddrInet6{Addr: loopback, Port: 443}))
		must(t, unix.Listen(fd, 128))
		all, err := armListeners(t).Read(nil)
		must(t, err)
		if l := find(t, all, 443); l.Addr != netip.MustParseAddrPort("[::1]:443") {
			t.Errorf("listener is %v, want [::1]:443", l.Addr)
		}
	})
}

func TestListenersNone(t *testing.T) {
	testns.Run(t, func() {
		all, err := armListeners(t).Read(nil)
		if err != nil || len(all) != 0 {
			t.Errorf("empty namespace: %v, %v", all, err)
		}
	})
}

func TestListenersComeAndGo(t *testing.T) {
	testns.Run(t, func() {
		probe := armListeners(t)
		probe.room = 2 // so that passes take several readings
		var fds []int
		for n := range 3 {
			fds = append(fds, listen(t, [4]byte{127, 0, 0, 1}, 1000+n, 1))
			eventually(t, "new listener seen", func() bool {
				all, err := probe.Read(nil)
				must(t, err)
				return len(all) == n+1
			})
		}
		must(t, unix.Shutdown(fds[1], unix.SHUT_RDWR)) // back to CLOSE
		all, err := probe.Read(nil)
		must(t, err)
		if len(all) != 2 {
			t.Errorf("%d listeners after one of 3 was closed", len(all))
		}
	})
}

// With the probe of states the kernel's whole table is searched only when a socket has begun to
// listen, and where there are many listeners they are not read at each tick.
func TestListenersLookAtWhatMoves(t *testing.T) {
	testns.Run(t, func() {
		s := Open(Options{NetNS: ownNetNS(t)})
		defer s.Close()
		probe := s.Listeners
		if probe == nil || s.States == nil {
			t.Fatalf("not armed: %v", s.Refusals())
		}
		read := func(want int) {
			t.Helper()
			all, err := probe.Read(nil)
			must(t, err)
			if len(all) != want {
				t.Errorf("%d listeners, want %d", len(all), want)
			}
		}
		for n := range 20 { // each is seen at once, wherever it is in the kernel's order
			listen(t, [4]byte{127, 0, 0, 1}, 1000+n, 1)
			read(n + 1)
		}
		read(20)
		whole := probe.whole
		read(20)
		if probe.whole != whole {
			t.Error("the whole table was searched although nothing had begun to listen")
		}
		// A read that gives what the one before gave asks nothing.
		probe.skip = 2
		listen(t, [4]byte{127, 0, 0, 1}, 1100, 1)
		read(20)
		read(20)
		read(21)
	})
}

func armListeners(t *testing.T) *Listeners {
	t.Helper()
	probe, err := openListeners(alone())
	must(t, err)
	t.Cleanup(func() { probe.Close() })
	return probe
}

func find(t *testing.T, all []Listener, port uint16) Listener {
	t.Helper()
	for _, l := range all {
		if l.Addr.Port() == port {
			return l
		}
	}
	t.Fatalf("no listener on port %d in %+v", port, all)
	return Listener{}
}

// BenchmarkListenersRead reads one listener and 2,000 as fast as can be, and at the ticks' own
// pace, at which nothing is in the CPU's caches any more.
func BenchmarkListenersRead(b *testing.B) {
	for _, n := range []int{1, 2000} {
		for _, pause := range []time.Duration{0, 250 * time.Millisecond} {
			b.Run(fmt.Sprintf("%d/every %v", n, pause), func(b *testing.B) { readListeners(b, n, pause) })
		}
	}
}

func readListeners(b *testing.B, n int, pause time.Duration) {
	testns.Run(b, func() {
		s := Open(Options{NetNS: ownNetNS(b)})
		defer s.Close()
		for i := range n {
			fd, _ := unix.Socket(unix.AF_INET, unix.SOCK_STREAM, 0)
			defer unix.Close(fd)
			if err := errors.Join(unix.Bind(fd, &unix.SockaddrInet4{Port: 20_000 + i}), unix.Listen(fd, 1)); err != nil {
				b.Fatal(err)
			}
		}
		var all []Listener
		var err error
		for range 4 { // the first two search the kernel's whole table
			all, err = s.Listeners.Read(all[:0])
		}
		b.ReportAllocs()
		for b.Loop() {
			if pause > 0 {
				b.StopTimer()
				time.Sleep(pause)
				b.StartTimer()
			}
			all, err = s.Listeners.Read(all[:0])
		}
		if err != nil || len(all) != n {
			b.Fatalf("%d of %d listeners, error %v", len(all), n, err)
		}
	})
}

func ownNetNS(t testing.TB) uint32 {
	var ns unix.Stat_t
	if err := unix.Stat("/proc/thread-self/ns/net", &ns); err != nil {
		t.Fatal(err)
	}
	return uint32(ns.Ino)
}
