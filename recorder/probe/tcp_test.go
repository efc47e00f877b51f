//go:build linux

package probe

import (
	"net"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/vishvananda/netns"
	"golang.org/x/sys/unix"

	"github.com/spikebox/spikebox/recorder/internal/testns"
)

// counter reads one counter of /proc/net/snmp or netstat in a namespace.
func counter(t *testing.T, ns netns.NsHandle, protocol, name string) (value int) {
	t.Helper()
	testns.Do(t, ns, func() {
		for _, file := range []string{"/proc/thread-self/net/snmp", "/proc/thread-self/net/netstat"} {
			text, err := os.ReadFile(file)
			must(t, err)
			lines := strings.Split(string(text), "\n")
			for i := 0; i+1 < len(lines); i += 2 {
				names, values := strings.Fields(lines[i]), strings.Fields(lines[i+1])
				for j := range names {
					if names[0] == protocol+":" && names[j] == name {
						value, err = strconv.Atoi(values[j])
						must(t, err)
						return
					}
				}
			}
		}
		t.Fatalf("no counter %s %s", protocol, name)
	})
	return value
}

// told collects events by kind.
type told map[Kind][]Event

func (got told) drain(t *testing.T, s *Set) {
	t.Helper()
	_, err := s.Events.Read(func(e *Event) {
		kept := *e
		kept.Frames = append([]uint64(nil), e.Frames...)
		got[e.Kind] = append(got[e.Kind], kept)
	})
	must(t, err)
}

func counts(s *Set) *[Kinds]EventCount {
	var c [Kinds]EventCount
	s.Events.Counts(&c)
	return &c
}

// What is sent again is told, as often as the kernel counts it. There are machines with a thread on whose back no
// program of a tracepoint runs (of 22 softirqs within ten seconds none, where ftrace had all, Linux 6.18 in a virtual
// machine): a timer that fires there is counted and not told, and all of it is tried again.
func TestRetransmissionsAreTheKernels(t *testing.T) {
	thrice(t, sendAgain)
}

// thrice wants as many told as counted in one of three tries.
func thrice(t *testing.T, try func(*testing.T) (told, counted int)) {
	t.Helper()
	for range 3 {
		n, counted := try(t)
		if n == counted {
			return
		}
		t.Logf("%d told, the kernel counts %d", n, counted)
	}
	t.Error("three times not as many told as the kernel counts")
}

// sendAgain cuts a line until a byte was sent again three times, and gives how many segments were told and counted
// on it in all: on a busy machine it is slow at times, and more than that byte is sent again.
func sendAgain(t *testing.T) (n, counted int) {
	t.Helper()
	var s *Set
	c := converse(t, func(inode uint32) { s = armAll(t, Options{NetNS: inode}) })
	for range 20 {
		c.exchange(t)
	}
	all := make(told)
	if n, want := all.settle(t, c, s); n != want {
		return n, want
	}
	before := len(all[Retransmit])
	c.line.cut.Store(true)
	_, err := c.client.Write([]byte("?"))
	must(t, err)
	eventually(t, "three retransmissions", func() bool {
		all.drain(t, s)
		return len(all[Retransmit]) >= before+3
	})
	c.line.cut.Store(false)
	_, err = c.client.Read(make([]byte, 1))
	must(t, err)
	n, counted = all.settle(t, c, s)
	checkRetransmissions(t, c, all[Retransmit][before:])
	return n, counted
}

// settle waits for a while until all that was sent again is told. The kernel counts before it sends, and tells afterwards.
func (got told) settle(t *testing.T, c *conversation, s *Set) (n, counted int) {
	t.Helper()
	for end := time.Now().Add(10 * time.Second); ; time.Sleep(5 * time.Millisecond) {
		counted = counter(t, c.ns, "Tcp", "RetransSegs")
		got.drain(t, s)
		if n = len(got[Retransmit]) + len(got[SYNRetransmit]); n == counted || time.Now().After(end) {
			return n, counted
		}
	}
}

func TestLateSampleIsAnEvent(t *testing.T) {
	const late = 3 * time.Second // no busy machine is that slow by itself
	var s *Set
	c := converse(t, func(inode uint32) { s = armAll(t, Options{NetNS: inode, LateRTT: late}) })
	for range 20 {
		c.exchange(t)
	}
	got := told{}
	got.drain(t, s)
	if n := len(got[LateRTT]); n != 0 {
		t.Errorf("%d late samples before the delay: %+v", n, got[LateRTT])
	}
	c.line.delay.Store(int64(late / 2))
	took := c.exchange(t)
	got.drain(t, s)
	if len(got[LateRTT]) != 1 {
		t.Fatalf("%d late samples, want 1", len(got[LateRTT]))
	}
	if e := got[LateRTT][0]; e.Duration < late || e.Duration > took+time.Millisecond ||
		e.Local.String() != c.client.LocalAddr().String() || e.Remote.String() != c.client.RemoteAddr().String() {
		t.Errorf("late sample %+v of an exchange of %v", e, took)
	}
}

// checkRetransmissions expects one byte sent again and again; a first one may be a
// tail loss probe, before any timeout.
func checkRetransmissions(t *testing.T, c *conversation, all []Event) {
	t.Helper()
	for i, e := range all {
		if e.Local.String() != c.client.LocalAddr().String() || e.Remote.String() != c.client.RemoteAddr().String() {
			t.Errorf("event is of %v > %v", e.Local, e.Remote)
		}
		if e.NetNS != inode(t, c.ns) || StateName(e.State) != "ESTAB" || e.SeqLen != 1 || e.Seq != all[0].Seq {
			t.Errorf("event %d: %+v", i, e)
		}
		if i > 0 && (e.Retries < all[i-1].Retries || e.Time <= all[i-1].Time) {
			t.Errorf("event %d: timeout %d at %d after %d at %d", i, e.Retries, e.Time, all[i-1].Retries, all[i-1].Time)
		}
	}
}

// Tried again as TestRetransmissionsAreTheKernels is.
func TestSYNRetransmissions(t *testing.T) {
	thrice(t, synAgain)
}

// synAgain asks a host that is silent until two SYNs were told to be sent again, and gives how many were told and counted.
func synAgain(t *testing.T) (n, counted int) {
	t.Helper()
	ns := testns.New(t)
	go drain(wire(t, ns, "10.9.0.1/24"))
	s := armAll(t, Options{NetNS: inode(t, ns)})
	testns.Do(t, ns, func() {
		fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_NONBLOCK, 0)
		must(t, err)
		defer unix.Close(fd)
		unix.Connect(fd, &unix.SockaddrInet4{Addr: [4]byte{10, 9, 0, 2}, Port: 80})
		got := told{}
		eventually(t, "two SYNs again", func() bool {
			got.drain(t, s)
			return len(got[SYNRetransmit]) >= 2
		})
		n, counted = len(got[SYNRetransmit]), counter(t, ns, "TcpExt", "TCPSynRetrans")
		if tally := s.Events.Tally(); tally.Timeouts != counts(s)[SYNRetransmit].Seen {
			t.Errorf("%d timeouts, %d SYNs sent again", tally.Timeouts, counts(s)[SYNRetransmit].Seen)
		}
		if len(got[Retransmit]) > 0 {
			t.Errorf("told %d that are no SYNs", len(got[Retransmit]))
		}
		if e := got[SYNRetransmit][0]; e.Remote.String() != "10.9.0.2:80" || StateName(e.State) != "SYN_SENT" || e.SeqLen != 1 {
			t.Errorf("event %+v", e)
		}
	})
	return n, counted
}

func TestSYNACKRetransmissions(t *testing.T) {
	const halfOpen = 50 // below the limit of 64 told per window and CPU
	ns := testns.New(t)
	w := wire(t, ns, "10.9.0.1/24")
	go drain(w)
	s := armAll(t, Options{NetNS: inode(t, ns)})
	testns.Do(t, ns, func() {
		listen(t, [4]byte{10, 9, 0, 1}, 80, 1000)
		for i := range halfOpen {
			_, err := w.Write(segment([4]byte{10, 9, 0, 2}, [4]byte{10, 9, 0, 1}, uint16(2000+i), 80, flagSYN))
			must(t, err)
		}
		got := told{}
		eventually(t, "each SYN-ACK again", func() bool {
			got.drain(t, s)
			return len(got[SYNACKRetransmit]) >= halfOpen
		})
		ports := map[uint16]bool{}
		for _, e := range got[SYNACKRetransmit] {
			ports[e.Remote.Port()] = true
			if e.Local.String() != "10.9.0.1:80" || e.SYNQueue != halfOpen || StateName(e.State) != "SYN_RECV" {
				t.Errorf("event %+v", e)
			}
		}
		if len(ports) != halfOpen {
			t.Errorf("SYN-ACKs of %d connections, want %d", len(ports), halfOpen)
		}
	})
}

func TestResetsAndTheirDrops(t *testing.T) {
	const refused = 30
	ns := testns.New(t)
	w := wire(t, ns, "10.9.0.1/24")
	go drain(w)
	s := armAll(t, Options{NetNS: inode(t, ns)})
	for i := range refused {
		_, err := w.Write(segment([4]byte{10, 9, 0, 2}, [4]byte{10, 9, 0, 1}, uint16(2000+i), 9, flagSYN))
		must(t, err)
	}
	eventually(t, "resets sent", func() bool { return counter(t, ns, "Tcp", "OutRsts") == refused })
	got := told{}
	got.drain(t, s)
	checkResets(t, s, got[ResetSent], refused)
	drops, err := s.Drops.Read(nil)
	must(t, err)
	var noSocket, all uint64
	for _, d := range drops {
		if d.Unattributed {
			continue
		}
		all += d.Count
		if s.Names.Drop(d.Reason) == "NO_SOCKET" {
			noSocket += d.Count
		}
	}
	if s.Names.Drop(2) != "" && s.Names.Drop(2) != "2" && noSocket != refused {
		t.Errorf("%d packets dropped for NO_SOCKET, want %d: %v", noSocket, refused, drops)
	}
	if all < refused || all != counts(s)[Drop].Seen {
		t.Errorf("%d drops by cause, %d in all", all, counts(s)[Drop].Seen)
	}
}

// checkResets expects resets for SYNs to a closed port. Kernels whose tracepoint has no
// reason do not pass it for packets without socket.
func checkResets(t *testing.T, s *Set, all []Event, refused int) {
	t.Helper()
	kernel, err := alone().tracepointArgs("tcp_send_reset")
	must(t, err)
	if kernel < 3 {
		if len(all) != 0 && len(all) != refused {
			t.Errorf("%d resets sent, want none or %d", len(all), refused)
		}
		return
	}
	if len(all) != refused {
		t.Errorf("%d resets sent, want %d", len(all), refused)
	}
	for _, e := range all {
		if s.Names.Reset(e.Reason) != "NO_SOCKET" || e.Local.String() != "10.9.0.1:9" || e.Remote.Addr().String() != "10.9.0.2" {
			t.Errorf("reset for %s: %+v", s.Names.Reset(e.Reason), e)
		}
	}
}

func TestResetsReceivedAndStates(t *testing.T) {
	const tries = 20
	ns := testns.New(t)
	s := armAll(t, Options{NetNS: inode(t, ns)})
	testns.Do(t, ns, func() {
		for range tries {
			if c, err := net.Dial("tcp4", "127.0.0.1:9"); err == nil {
				c.Close()
				t.Fatal("a closed port took a connection")
			}
		}
	})
	got := told{}
	got.drain(t, s)
	if n := len(got[ResetReceived]); n != tries {
		t.Errorf("%d resets received, want %d", n, tries)
	}
	var tr Transitions
	must(t, s.States.Read(&tr))
	const synSent, closed = 2, 7
	if tr[closed][synSent] != tries || tr[synSent][closed] != tries || tr.Gain(synSent) != 0 {
		t.Errorf("%d to SYN_SENT, %d from it, want %d", tr[closed][synSent], tr[synSent][closed], tries)
	}
}

func TestStatesGauge(t *testing.T) {
	const held = 10
	ns := testns.New(t)
	s := armAll(t, Options{NetNS: inode(t, ns)})
	var tr Transitions
	testns.Do(t, ns, func() {
		listen(t, [4]byte{127, 0, 0, 1}, 80, 100)
		for range held {
			c, err := net.Dial("tcp4", "127.0.0.1:80")
			must(t, err)
			defer c.Close()
		}
		must(t, s.States.Read(&tr))
	})
	const established, listening = 1, 10
	if tr.Gain(established) != 2*held || tr.Gain(listening) != 1 {
		t.Errorf("%d established, %d listening, want %d and 1", tr.Gain(established), tr.Gain(listening), 2*held)
	}
}

// Of connections whose peers have closed those count that were accepted here, until the program closes.
func TestAcceptedCloseWait(t *testing.T) {
	const held = 10
	ns := testns.New(t)
	s := armAll(t, Options{NetNS: inode(t, ns)})
	until := func(to, from uint64) {
		t.Helper()
		var gotTo, gotFrom uint64
		for end := time.Now().Add(10 * time.Second); time.Now().Before(end); time.Sleep(10 * time.Millisecond) {
			if gotTo, gotFrom = s.States.AcceptedCloseWait(); gotTo == to && gotFrom == from {
				return
			}
		}
		t.Fatalf("%d to CLOSE_WAIT, %d from it, want %d and %d", gotTo, gotFrom, to, from)
	}
	testns.Do(t, ns, func() {
		l, err := net.Listen("tcp4", "127.0.0.1:80")
		must(t, err)
		defer l.Close()
		var clients, servers []net.Conn
		for range held {
			c, err := net.Dial("tcp4", "127.0.0.1:80")
			must(t, err)
			a, err := l.Accept()
			must(t, err)
			clients, servers = append(clients, c), append(servers, a)
		}
		for _, c := range clients[:held/2] {
			c.Close()
		}
		for _, a := range servers[held/2:] { // their peers, which were not accepted, are in CLOSE_WAIT then
			a.Close()
		}
		until(held/2, 0)
		for _, a := range servers[:held/2] {
			a.Close()
		}
		until(held/2, held/2)
		for _, c := range clients[held/2:] {
			c.Close()
		}
		until(held/2, held/2)
	})
}

func TestStormIsLimitedAndCounted(t *testing.T) {
	const storm = 5000
	ns := testns.New(t)
	w := wire(t, ns, "10.9.0.1/24")
	go drain(w)
	s := armAll(t, Options{NetNS: inode(t, ns)})
	for i := range storm {
		_, err := w.Write(segment([4]byte{10, 9, 0, 2}, [4]byte{10, 9, 0, 1}, uint16(2000+i), 9, flagSYN))
		must(t, err)
	}
	eventually(t, "resets sent", func() bool { return counter(t, ns, "Tcp", "OutRsts") == storm })
	got := told{}
	got.drain(t, s)
	c := counts(s)[Drop]
	if c.Seen < storm || c.Limited == 0 || c.Seen != uint64(len(got[Drop]))+c.Limited+c.Full {
		t.Errorf("%d drops: %d told, %d limited, %d full", c.Seen, len(got[Drop]), c.Limited, c.Full)
	}
}

func TestEventsReadAllocatesNothing(t *testing.T) {
	ns := testns.New(t)
	w := wire(t, ns, "10.9.0.1/24")
	go drain(w)
	s := armAll(t, Options{NetNS: inode(t, ns)})
	n := 0
	packet := segment([4]byte{10, 9, 0, 2}, [4]byte{10, 9, 0, 1}, 2000, 9, flagSYN)
	s.Events.Read(func(*Event) {})
	allocs := testing.AllocsPerRun(10, func() {
		for range 3 {
			w.Write(packet)
		}
		s.Events.Read(func(*Event) { n++ })
	})
	if allocs > 0 || n == 0 {
		t.Errorf("reading %d events allocates %v times", n, allocs)
	}
}
