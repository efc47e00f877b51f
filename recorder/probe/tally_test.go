//go:build linux

package probe

import (
	"net"
	"strings"
	"testing"
	"time"

	"github.com/spikebox/spikebox/recorder/internal/testns"
)

// A client that waits repeats its SYN, a scanner does not; neither is a timeout of anybody's data.
func TestTallyOfSYNACKs(t *testing.T) {
	ns := testns.New(t)
	w := wire(t, ns, "10.9.0.1/24")
	go drain(w)
	s := armAll(t, Options{NetNS: inode(t, ns)})
	testns.Do(t, ns, func() { listen(t, [4]byte{10, 9, 0, 1}, 80, 1000) })
	const waits, scans = 2000, 2001
	ask := func(port uint16) {
		_, err := w.Write(segment([4]byte{10, 9, 0, 2}, [4]byte{10, 9, 0, 1}, port, 80, flagSYN))
		must(t, err)
	}
	ask(waits)
	ask(scans)
	eventually(t, "both are half-open", func() bool { return counter(t, ns, "Tcp", "OutSegs") >= 2 })
	ask(waits)
	got, asked, timed := told{}, 0, map[uint16]int{}
	eventually(t, "SYN-ACKs again, for the SYN and by timer", func() bool {
		got.drain(t, s)
		for _, e := range got[SYNACKRetransmit] {
			if !e.Asked {
				timed[e.Remote.Port()]++
				continue
			}
			asked++
			if e.Remote.Port() != waits {
				t.Errorf("asked again by %v", e.Remote)
			}
		}
		got[SYNACKRetransmit] = nil
		return asked > 0 && timed[scans] > 0
	})
	tally := s.Events.Tally()
	if asked != 1 || int(tally.Unasked) < timed[scans]+timed[waits] {
		t.Errorf("%d SYN-ACKs were asked for, want 1; %d not, %v of them told", asked, tally.Unasked, timed)
	}
	if n := counter(t, ns, "TcpExt", "TCPTimeouts"); tally.Timeouts != 0 || n == 0 {
		t.Errorf("%d timeouts, and %d with those of SYN-ACKs", tally.Timeouts, n)
	}
}

// A client that has its answer may close by a reset. One that was not answered is cut off.
func TestTallyOfFarewells(t *testing.T) {
	const asksNothing, satisfied, asksAgain = "", "client server", "client server client"
	for talk, want := range map[string]uint64{asksNothing: 0, satisfied: 1, asksAgain: 0} {
		ns := testns.New(t)
		s := armAll(t, Options{NetNS: inode(t, ns)})
		testns.Do(t, ns, func() {
			l, err := net.Listen("tcp4", "127.0.0.1:0")
			must(t, err)
			defer l.Close()
			client, err := net.Dial("tcp4", l.Addr().String())
			must(t, err)
			server, err := l.Accept()
			must(t, err)
			defer server.Close()
			speak(t, client, server, talk)
			must(t, client.(*net.TCPConn).SetLinger(0))
			must(t, client.Close())
		})
		eventually(t, "the reset", func() bool { return counter(t, ns, "Tcp", "EstabResets") > 0 })
		if n := s.Events.Tally().Farewells; n != want {
			t.Errorf("after %q there are %d farewells, want %d", talk, n, want)
		}
	}
}

// speak has one speak after the other, and each hear it, jiffies apart.
func speak(t *testing.T, client, server net.Conn, who string) {
	t.Helper()
	for _, who := range strings.Fields(who) {
		from, to := client, server
		if who == "server" {
			from, to = server, client
		}
		_, err := from.Write([]byte(who))
		must(t, err)
		_, err = to.Read(make([]byte, 16))
		must(t, err)
		time.Sleep(30 * time.Millisecond)
	}
}
