//go:build linux

package probe

import (
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/spikebox/spikebox/recorder/internal/testns"
)

// One host is both sides of each connection here: what the server takes to answer is a serve
// time, and with both ways an upstream time. Neither may be shorter than what it thought, nor
// longer than the client waited.
func TestResponseTimes(t *testing.T) {
	const think, requests = 20 * time.Millisecond, 5
	ns := testns.New(t)
	s := open(t, &responseProbe, inode(t, ns))
	if s == nil {
		return
	}
	r := s.Response
	var longest, connect time.Duration
	testns.Do(t, ns, func() {
		l, err := net.Listen("tcp4", "127.0.0.1:0")
		must(t, err)
		defer l.Close()
		go answer(l, think)
		begun := time.Now()
		c, err := net.Dial("tcp4", l.Addr().String())
		must(t, err)
		defer c.Close()
		connect = time.Since(begun)
		for i := range requests {
			begun := time.Now()
			// In two pieces and an answer in two: one wait.
			for range 2 {
				_, err = c.Write(make([]byte, 10))
				must(t, err)
			}
			_, err = io.ReadFull(c, make([]byte, 20))
			must(t, err)
			if longest = max(longest, time.Since(begun)); i == 0 {
				// A user who reads is not one who waits.
				time.Sleep(10 * think)
			}
		}
	})
	got := r.await(t, requests, requests)
	for name, h := range map[string]Histogram{"serve": got.Serve, "upstream": got.Upstream} {
		if h.Count != requests || h.Quantile(0) < think*7/8 || h.Max > longest {
			t.Errorf("%s: %d times from %v to %v, want %d from %v to %v", name, h.Count, h.Quantile(0), h.Max, requests, think, longest)
		}
	}
	if got.Connect.Count != 1 || got.Connect.Max > connect {
		t.Errorf("connect: %d times up to %v, want 1 up to %v", got.Connect.Count, got.Connect.Max, connect)
	}
	must(t, r.Read(got))
	if n := got.Serve.Count + got.Upstream.Count + got.Connect.Count; n != 0 {
		t.Errorf("%d times told twice", n)
	}
}

// await reads until as many times are told: an answer is when it is acknowledged.
func (r *Response) await(t *testing.T, serve, upstream uint64) *Responses {
	t.Helper()
	all := &Responses{}
	eventually(t, "the times", func() bool {
		var one Responses
		must(t, r.Read(&one))
		all.Serve.Merge(&one.Serve)
		all.Upstream.Merge(&one.Upstream)
		all.Connect.Merge(&one.Connect)
		return all.Serve.Count >= serve && all.Upstream.Count >= upstream
	})
	return all
}

// A wait that began before the probe was shed is not measured when it is back, the next is. The
// probe of round trips, which shares its programs, goes on without it, and it without that.
func TestShedResponse(t *testing.T) {
	ns := testns.New(t)
	s := open(t, &responseProbe, inode(t, ns))
	if s == nil {
		return
	}
	_, err := s.open(&rttProbe, Options{})
	must(t, err)
	testns.Do(t, ns, func() {
		client, server := connected(t)
		say := func(from, to net.Conn) {
			for range 2 { // the first of them has passed all programs when the second is there
				_, err := from.Write(make([]byte, 10))
				must(t, err)
				_, err = io.ReadFull(to, make([]byte, 10))
				must(t, err)
			}
			acknowledged(t, from)
		}
		times := func(when string, want uint64) {
			t.Helper()
			var got Responses
			must(t, s.Response.Read(&got))
			if got.Serve.Count != want || got.Upstream.Count != want {
				t.Errorf("%s: %d serve times, %d upstream times, want %d", when, got.Serve.Count, got.Upstream.Count, want)
			}
		}
		trips := func() uint64 {
			samples, _ := s.RTT.read(t)
			return samples.Count
		}
		say(client, server)
		must(t, s.Shed("response", true))
		must(t, s.Shed("response", false))
		say(server, client)
		times("response shed between question and answer", 0)
		say(client, server)
		say(server, client)
		times("asked and answered", 1)
		must(t, s.Shed("rtt", true))
		trips()
		say(client, server)
		say(server, client)
		times("rtt shed", 1)
		if n := trips(); n > 0 {
			t.Errorf("rtt shed: %d round trips", n)
		}
		must(t, s.Shed("rtt", false))
		must(t, s.Shed("response", true))
		say(client, server)
		say(server, client) // and acknowledges the question, if nothing did yet
		times("response shed", 0)
		if trips() == 0 {
			t.Error("response shed: no round trips")
		}
		must(t, s.Shed("rtt", true))
		if n := len(s.tcp.loaded.links); n > 0 {
			t.Errorf("%d programs are attached for nobody", n)
		}
	})
}

// acknowledged waits until all that was written is.
func acknowledged(t *testing.T, c net.Conn) {
	t.Helper()
	raw, err := c.(*net.TCPConn).SyscallConn()
	must(t, err)
	eventually(t, "an acknowledgement", func() bool {
		var waiting int
		must(t, raw.Control(func(fd uintptr) { waiting, err = unix.IoctlGetInt(int(fd), unix.SIOCOUTQ) }))
		must(t, err)
		return waiting == 0
	})
}

// without says that the kernel has no memory of a socket for tracing programs: it came with Linux 5.11.
func without(err error) bool {
	return err != nil && strings.Contains(Reason(err), "bpf_sk_storage_get")
}

// answer reads 20 bytes, thinks, and answers in two pieces.
func answer(l net.Listener, think time.Duration) {
	c, err := l.Accept()
	if err != nil {
		return
	}
	defer c.Close()
	for {
		if _, err := io.ReadFull(c, make([]byte, 20)); err != nil {
			return
		}
		time.Sleep(think)
		for range 2 {
			if _, err := c.Write(make([]byte, 10)); err != nil {
				return
			}
		}
	}
}
