//go:build linux

package actor

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// cast is an actor that plays in this process, over loopback.
type cast struct {
	t      *testing.T
	in     io.WriteCloser
	events *json.Decoder
	err    chan error
}

// start starts an actor and waits until it is ready; the text of that is returned.
func start(t *testing.T, name string, params any) (*cast, string) {
	t.Helper()
	inR, inW := io.Pipe()
	outR, outW := io.Pipe()
	c := &cast{t: t, in: inW, events: json.NewDecoder(bufio.NewReader(outR)), err: make(chan error, 1)}
	go func() {
		err := Main(name, inR, outW)
		outW.CloseWithError(io.EOF)
		inR.CloseWithError(io.ErrClosedPipe)
		c.err <- err
	}()
	line, err := json.Marshal(params)
	if err != nil {
		t.Fatal(err)
	}
	c.tell("%s", line)
	return c, c.next("ready").Text
}

func (c *cast) tell(format string, a ...any) { fmt.Fprintf(c.in, format+"\n", a...) }

// next returns the next event of a kind.
func (c *cast) next(kind string) (e Event) {
	c.t.Helper()
	for {
		e = Event{}
		if err := c.events.Decode(&e); err != nil {
			c.t.Fatalf("wait for an event %q: %v (the actor says: %v)", kind, err, <-c.err)
		}
		if e.Kind == kind {
			return e
		}
	}
}

// leave stops the actor and wants it to end well.
func (c *cast) leave() {
	c.t.Helper()
	go io.Copy(io.Discard, c.events.Buffered())
	go func() {
		for c.events.Decode(&Event{}) == nil {
		}
	}()
	c.tell("stop")
	if err := <-c.err; err != nil {
		c.t.Error(err)
	}
}

func TestFlowsAreTold(t *testing.T) {
	srv, addr := start(t, "server", Server{Addr: "127.0.0.1:0", Backlog: 16})
	defer srv.leave()
	flow := func(p Client) *Flow {
		t.Helper()
		p.To, p.From, p.Count, p.Patience = addr, []string{"127.0.0.2"}, 1, 5*time.Second
		c, _ := start(t, "client", p)
		defer c.leave()
		return c.next("flow").Flow
	}

	f := flow(Client{Group: "g", Requests: 3, Bytes: 1000})
	if f.End != "done" || f.Requests != 3 || f.Bytes != 3000 || f.Group != "g" ||
		f.Client != "127.0.0.2" || f.ClientPort == 0 || f.ConnectMS <= 0 || f.First >= f.Last {
		t.Errorf("a good connection is told as %+v", f)
	}
	srv.tell("think 300ms")
	if f := flow(Client{Requests: 1, Bytes: 10}); f.SlowestMS < 300 {
		t.Errorf("the slowest answer took %v ms, the server thought 300", f.SlowestMS)
	}
	srv.tell("think 0s")
	srv.tell("manner %s", MannerReset)
	if f := flow(Client{Requests: 1, Bytes: 10}); f.End != "reset" || f.Requests != 0 {
		t.Errorf("a reset connection is told as %+v", f)
	}
	srv.tell("manner %s", MannerClose)
	if f := flow(Client{Requests: 2, Bytes: 10}); f.Requests != 1 || f.End == "done" {
		t.Errorf("a connection that the server closed is told as %+v", f)
	}
	srv.tell("manner %s", MannerLeak)
	if f := flow(Client{Requests: 1, Bytes: 10}); f.End != "done" {
		t.Errorf("a connection that the server leaks is told as %+v", f)
	}
}

// Nobody listens on a port that a socket is bound to, and nobody else can.
func TestRefusedIsTold(t *testing.T) {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(fd)
	if err := unix.Bind(fd, &unix.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}); err != nil {
		t.Fatal(err)
	}
	at, err := unix.Getsockname(fd)
	if err != nil {
		t.Fatal(err)
	}
	addr := fmt.Sprintf("127.0.0.1:%d", at.(*unix.SockaddrInet4).Port)
	c, _ := start(t, "client", Client{To: addr, From: []string{"127.0.0.1"}, Count: 1, Requests: 1, Patience: 5 * time.Second})
	defer c.leave()
	if f := c.next("flow").Flow; f.End != "refused" || f.ClientPort == 0 {
		t.Errorf("a refused connection is told as %+v", f)
	}
}

// TestOpenFlowsAreTold stops clients in the middle of what they do.
func TestOpenFlowsAreTold(t *testing.T) {
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	c, _ := start(t, "client", Client{To: l.Addr().String(), From: []string{"127.0.0.1"}, Count: 2, Requests: 1, Patience: time.Hour})
	for range 2 { // which are never answered
		conn, err := l.Accept()
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
	}
	c.tell("stop")
	for range 2 {
		if f := c.next("flow").Flow; f.End != "open" {
			t.Errorf("a connection cut off by the end of the run is told as %+v", f)
		}
	}
	if err := <-c.err; err != nil {
		t.Error(err)
	}
}

func TestMistakesEndAnActor(t *testing.T) {
	for _, c := range []struct{ name, input, want string }{
		{"juggler", "", `no such actor`},
		{"server", "", `read parameters: no input`},
		{"server", "{", `read parameters: unexpected end of JSON`},
		{"server", `{"addr":"here"}`, `not an ip:port`},
		{"server", `{"addr":"127.0.0.1:0"}` + "\naccept soon\n", `obey "accept soon"`},
		{"server", `{"addr":"127.0.0.1:0"}` + "\ndance 1s\n", `no such command "dance"`},
	} {
		if err := Main(c.name, strings.NewReader(c.input), io.Discard); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s with %q: %v, want %q", c.name, c.input, err, c.want)
		}
	}
}
