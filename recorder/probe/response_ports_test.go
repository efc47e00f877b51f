//go:build linux

package probe

import (
	"io"
	"net"
	"testing"
	"time"

	"github.com/spikebox/spikebox/recorder/internal/testns"
)

// A port is known to answer from its first answer on, also where each connection is over with its own. What asks on a
// connection that was answered is counted while others on it wait; what is sent up is not.
func TestResponsePorts(t *testing.T) {
	ns := testns.New(t)
	s := open(t, &responseProbe, inode(t, ns))
	if s == nil {
		return
	}
	r := s.Response
	asked := func() uint64 {
		must(t, r.Read(&Responses{}))
		_, n, _ := r.Answered()
		return n
	}
	testns.Do(t, ns, func() {
		l, err := net.Listen("tcp4", "127.0.0.1:0")
		must(t, err)
		defer l.Close()
		port := uint16(l.Addr().(*net.TCPAddr).Port)
		dial := func() (client, server net.Conn) {
			client, err := net.Dial("tcp4", l.Addr().String())
			must(t, err)
			server, err = l.Accept()
			must(t, err)
			return client, server
		}
		say := func(from, to net.Conn, n int) {
			_, err := from.Write(make([]byte, n))
			must(t, err)
			_, err = io.ReadFull(to, make([]byte, n))
			must(t, err)
		}
		c, srv := dial()
		say(c, srv, 10)
		if r.TakeAnswered(port) {
			t.Error("a port has answered that was only asked")
		}
		say(srv, c, 10)
		must(t, srv.Close())
		must(t, c.Close())
		for deadline := time.Now().Add(time.Minute); !r.TakeAnswered(port); time.Sleep(time.Millisecond) {
			if time.Now().After(deadline) {
				t.Fatal("a port that has answered and closed is not known to answer")
			}
		}
		if r.TakeAnswered(port) {
			t.Error("an answer is told twice")
		}
		c, srv = dial()
		defer c.Close()
		defer srv.Close()
		say(c, srv, 10)
		if n := asked(); n != 0 {
			t.Errorf("%d ask on connections that were never answered", n)
		}
		say(srv, c, 10)
		say(c, srv, 10) // acknowledges the answer, perhaps
		before := asked()
		for range 3 {
			say(c, srv, 100)
		}
		if n := asked() - before; n != 3 {
			t.Errorf("%d ask, three did", n)
		}
		for range 3 {
			say(c, srv, 5000)
		}
		if n := asked() - before; n != 3 {
			t.Errorf("%d ask, of which all but three sent something up", n)
		}
	})
}
