//go:build linux

package probe

import (
	"io"
	"net"
	"testing"

	"github.com/spikebox/spikebox/format/member"
	"github.com/spikebox/spikebox/recorder/internal/testns"
)

// One host is both sides of each connection here, so that what its program dismisses is dismissed by an upstream,
// too. Each way to end a connection has its twin, in which everybody was answered or nobody asked.
func TestDismissed(t *testing.T) {
	const many = 5
	for _, c := range []struct {
		name            string
		serve, upstream uint64 // of each connection
		end             func(t *testing.T, server, client net.Conn)
	}{
		{"closed in place of an answer", 1, 1, func(t *testing.T, server, client net.Conn) {
			ask(t, server, client)
			must(t, server.Close())
		}},
		{"closed in place of the second answer", 1, 1, func(t *testing.T, server, client net.Conn) {
			ask(t, server, client)
			say(t, client, server)
			ask(t, server, client)
			must(t, server.Close())
		}},
		{"answered, then closed", 0, 0, func(t *testing.T, server, client net.Conn) {
			ask(t, server, client)
			say(t, client, server)
			must(t, server.Close())
		}},
		{"the answer comes with the FIN", 0, 0, func(t *testing.T, server, client net.Conn) {
			ask(t, server, client)
			_, err := server.Write([]byte("answer"))
			must(t, err)
			must(t, server.Close())
		}},
		{"closed while idle", 0, 0, func(t *testing.T, server, _ net.Conn) {
			must(t, server.Close())
		}},
		{"the client gives up first", 0, 0, func(t *testing.T, server, client net.Conn) {
			ask(t, server, client)
			must(t, client.Close())
			_, err := server.Read(make([]byte, 1))
			if err != io.EOF {
				t.Errorf("read after the client has gone: %v, want EOF", err)
			}
			must(t, server.Close())
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			ns := testns.New(t)
			s := armAll(t, Options{NetNS: inode(t, ns)})
			if err := s.Refusal("response"); without(err) {
				t.Logf("before Linux 5.11: %v", err)
				return
			}
			testns.Do(t, ns, func() {
				l, err := net.Listen("tcp4", "127.0.0.1:0")
				must(t, err)
				defer l.Close()
				for range many {
					client, err := net.Dial("tcp4", l.Addr().String())
					must(t, err)
					server, err := l.Accept()
					must(t, err)
					c.end(t, server, client)
					_, _ = io.Copy(io.Discard, client) // until the FIN is here
					client.Close()
				}
			})
			var r Responses
			must(t, s.Response.Read(&r))
			if r.ServeDismissed != many*c.serve || r.UpstreamDismissed != many*c.upstream {
				t.Errorf("of %d: %d dismissed here and %d by an upstream, want %d and %d a connection", many, r.ServeDismissed, r.UpstreamDismissed, c.serve, c.upstream)
			}
			told := uint64(0)
			_, err := s.Events.Read(func(e *Event) {
				if e.Kind == Dismissed && e.Kind.String() == member.Dismissed && e.Remote.Port() != 0 {
					told++
				}
			})
			must(t, err)
			if told != many*(c.serve+c.upstream) {
				t.Errorf("%d events, want %d", told, many*(c.serve+c.upstream))
			}
		})
	}
}

// ask sends a request, and waits until it is here and acknowledged.
func ask(t *testing.T, server, client net.Conn) { say(t, server, client) }

// say sends something from one side, has the other read it, and waits for its acknowledgement: a FIN
// that acknowledges nothing may have crossed it.
func say(t *testing.T, to, from net.Conn) {
	t.Helper()
	_, err := from.Write([]byte("question"))
	must(t, err)
	_, err = io.ReadFull(to, make([]byte, 8))
	must(t, err)
	acknowledged(t, from)
}
