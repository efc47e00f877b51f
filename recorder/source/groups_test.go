//go:build linux

package source

import (
	"bytes"
	"context"
	"encoding/json"
	"net"
	"os"
	"strings"
	"testing"

	"github.com/spikebox/spikebox/format/member"
	"github.com/spikebox/spikebox/recorder/internal/testns"
)

// A process that lets a hundred connections lie in CLOSE_WAIT is named at some of them,
// and one with a few is not looked for.
func TestLargeGroupsHaveOwners(t *testing.T) {
	testns.Run(t, func() {
		l, err := net.Listen("tcp4", "127.0.0.1:0")
		if err != nil {
			t.Error(err)
			return
		}
		defer l.Close()
		var kept []net.Conn
		defer func() {
			for _, c := range kept {
				c.Close()
			}
		}()
		for range groupLarge + 20 {
			c, err := net.Dial("tcp4", l.Addr().String())
			if err != nil {
				t.Error(err)
				return
			}
			s, err := l.Accept()
			if err != nil {
				t.Error(err)
				return
			}
			c.Close()
			kept = append(kept, s)
		}
		var sink Sink // collected on this thread: only it is in the namespace
		if err := sockets.Collect(context.Background(), Env{Root: "/", At: member.AtEnd}, &sink); err != nil {
			t.Error(err)
			return
		}
		var text strings.Builder
		if _, err := sink.Members[0].WriteTo(&text); err != nil {
			t.Error(err)
		}
		waiting, owned := 0, 0
		for line := range strings.Lines(text.String()) {
			var s member.Socket
			if err := json.Unmarshal([]byte(line), &s); err != nil {
				t.Errorf("line %q: %v", line, err)
			}
			if s.State != "CLOSE_WAIT" {
				continue
			}
			waiting++
			if len(s.Process) == 1 && s.Process[0].PID == os.Getpid() && s.Process[0].FDs > groupLarge && s.Process[0].FDLimit > 0 {
				owned++
			}
		}
		if waiting != groupLarge+20 || owned < 1 {
			t.Errorf("%d sockets in CLOSE_WAIT, %d with their process; want %d and at least one", waiting, owned, groupLarge+20)
		}
	})
}

// Ten connections that wait for one upstream have their process; two to another one are not looked for.
func TestAskedGroupsHaveOwners(t *testing.T) {
	testns.Run(t, func() {
		for _, n := range []int{groupAsked, 2} {
			l, err := net.Listen("tcp4", "127.0.0.1:0")
			if err != nil {
				t.Error(err)
				return
			}
			upstream := l.Addr().(*net.TCPAddr).AddrPort()
			for range n {
				client, err := net.Dial("tcp4", upstream.String())
				if err != nil {
					t.Error(err)
					return
				}
				defer client.Close()
				server, err := l.Accept()
				if err != nil {
					t.Error(err)
					return
				}
				defer server.Close()
			}
			l.Close() // the upstream is elsewhere: nobody here listens at its port
			asked, owned := 0, 0
			for _, s := range collected(t) {
				if s.Remote == upstream.Addr() && s.RemotePort == upstream.Port() {
					asked++
					if len(s.Process) == 1 && s.Process[0].PID == os.Getpid() {
						owned++
					}
				}
			}
			if asked != n || (owned > 0) != (n >= groupAsked) {
				t.Errorf("%d sockets ask, %d of them with their process; want %d, and some from %d on", asked, owned, n, groupAsked)
			}
		}
	})
}

// collected gives the sockets at the end, as this thread's namespace has them.
func collected(t *testing.T) []member.Socket {
	t.Helper()
	var sink Sink
	if err := sockets.Collect(context.Background(), Env{Root: "/", At: member.AtEnd}, &sink); err != nil {
		t.Fatal(err)
	}
	var text bytes.Buffer
	if _, err := sink.Members[0].WriteTo(&text); err != nil {
		t.Fatal(err)
	}
	list, err := member.ParseSockets(text.Bytes())
	if err != nil {
		t.Fatal(err)
	}
	return list
}
