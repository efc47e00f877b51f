//go:build linux

package probe

import (
	"io"
	"net"
	"os"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/spikebox/spikebox/recorder/internal/testns"
)

// Connections that are older than the probe: one that nothing was said on gives times from its first
// request on, one that was, from the acknowledgement of the next answer on. A request that came before
// may have been asked long ago.
func TestTimesOfOlderConnections(t *testing.T) {
	for _, spoken := range []bool{false, true} {
		ns := testns.New(t)
		testns.Do(t, ns, func() {
			client, server := connected(t)
			say := func(from, to net.Conn) {
				_, err := from.Write(make([]byte, 10))
				must(t, err)
				_, err = io.ReadFull(to, make([]byte, 10))
				must(t, err)
				acknowledged(t, from)
			}
			if spoken {
				say(client, server) // and waits for an answer
			}
			s := open(t, &responseProbe, inode(t, ns))
			if s == nil {
				return
			}
			if spoken {
				say(server, client)
			}
			for range 3 {
				say(client, server)
				time.Sleep(thought)
				say(server, client)
			}
			got := s.Response.await(t, 3, 3)
			for name, h := range map[string]Histogram{"serve": got.Serve, "upstream": got.Upstream} {
				if h.Count != 3 || h.Quantile(0) < thought*7/8 {
					t.Errorf("spoken before: %t: %s: %d times from %v on, want 3 from %v on", spoken, name, h.Count, h.Quantile(0), thought)
				}
			}
		})
	}
}

// A connect lasts from its first SYN on, however many were sent; what is asked then is asked then.
func TestConnectOfLostSYNs(t *testing.T) {
	ns := testns.New(t)
	s := open(t, &responseProbe, inode(t, ns))
	if s == nil {
		return
	}
	p := &peer{t: t, wire: wire(t, ns, "10.9.0.1/24"), seq: 5000}
	var least, most time.Duration
	for _, lost := range []int{0, 1, 2} {
		took := make(chan time.Duration)
		var f *os.File
		testns.Do(t, ns, func() {
			fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
			must(t, err)
			f = os.NewFile(uintptr(fd), "")
			t.Cleanup(func() { f.Close() })
			go func() {
				begun := time.Now()
				if err := unix.Connect(fd, &unix.SockaddrInet4{Addr: peerAddr, Port: 80}); err != nil {
					t.Error(err)
				}
				took <- time.Since(begun)
			}()
		})
		p.see()
		first := time.Now()
		for range lost {
			p.see()
		}
		if lost == 0 {
			time.Sleep(thought)
		}
		least = time.Since(first)
		p.send(flagSYN|flagACK, "")
		most = <-took
		var got Responses
		eventually(t, "the connect", func() bool {
			must(t, s.Response.Read(&got))
			return got.Connect.Count > 0
		})
		t.Logf("%d lost: %v of %v to %v", lost, got.Connect.Max, least, most)
		// A millisecond, since sent again the kernel knows no better when the first was.
		if got.Connect.Count != 1 || got.Connect.Max > most+time.Millisecond || got.Connect.Max < least-time.Millisecond {
			t.Errorf("%d SYNs lost: %d times of %v, want 1 of %v to %v", lost, got.Connect.Count, got.Connect.Max, least, most)
		}
		asked := time.Now()
		_, err := f.Write([]byte("question"))
		must(t, err)
		p.see()
		p.send(flagACK, "answer")
		_, err = f.Read(make([]byte, 6))
		must(t, err)
		checkTimes(t, &s.Response.await(t, 0, 1).Upstream, []between{{0, time.Since(asked)}})
	}
}
