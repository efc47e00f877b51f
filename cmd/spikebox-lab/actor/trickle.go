//go:build linux

package actor

import (
	"context"
	"fmt"
	"io"
	"net"
	"time"

	"golang.org/x/sys/unix"
)

var (
	sink = &Actor{
		Name: "sink",
		Doc:  "accepts connections and reads the beginning of each",
		run:  runSink,
	}
	trickle = &Actor{
		Name: "trickle",
		Doc:  "fills one connection after the other with segments of one byte each",
		run:  runTrickle,
	}
)

// Trickle is what the sink and the trickle actor are told at their start.
type Trickle struct {
	Comm string `json:"comm"`
	// Addr is the sink's own address and port, and the one that the trickle connects to.
	Addr string `json:"addr"`
	From string `json:"from"` // the trickle's address
	// Bulk is how many bytes the trickle sends in large writes first, for the sink's
	// window to open; Count is how many of one byte it sends then.
	Bulk  int64 `json:"bulk"`
	Count int   `json:"count"`
	// Rest is the time between the two on the first connection, in which the sink goes to sleep.
	Rest time.Duration `json:"rest"`
	// Times is how many connections there are, one after the other.
	Times int `json:"times"`
}

// runSink reads Bulk bytes of each connection, and nothing more.
func runSink(_ context.Context, c *Cue) error {
	var p Trickle
	if err := c.params(&p, func() string { return p.Comm }); err != nil {
		return err
	}
	l, err := listen(p.Addr, 16)
	if err != nil {
		return err
	}
	defer l.Close()
	c.ready(l.Addr().String())
	conns := make(chan net.Conn, p.Times)
	go func() {
		for range p.Times {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			conns <- conn // kept, for an unreachable connection is closed by the collector
			n, _ := io.CopyN(io.Discard, conn, p.Bulk)
			c.note("read %d bytes, and stops reading", n)
		}
	}()
	err = c.commands(func(verb, _ string) error { return fmt.Errorf("no such command %q", verb) })
	for range len(conns) {
		(<-conns).Close()
	}
	return err
}

// runTrickle sends Bulk bytes, rests, and sends Count single bytes, Times times. MSG_EOR keeps the
// kernel from merging one with the next, so that each becomes a segment, and a socket
// buffer of its own at the receiver.
func runTrickle(ctx context.Context, c *Cue) error {
	var p Trickle
	if err := c.params(&p, func() string { return p.Comm }); err != nil {
		return err
	}
	d := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(p.From)}, Timeout: 10 * time.Second}
	conns := make([]net.Conn, p.Times)
	for i := range conns {
		var err error
		if conns[i], err = d.DialContext(ctx, "tcp", p.Addr); err != nil {
			return err
		}
		defer conns[i].Close()
	}
	c.ready(conns[0].LocalAddr().String())
	go func() {
		for _, conn := range conns {
			err := p.pour(conn.(*net.TCPConn))
			c.note("has sent its %d single bytes (error: %v)", p.Count, err)
			p.Rest = 0
		}
		c.send(Event{Kind: "done"})
	}()
	return c.commands(func(verb, _ string) error { return fmt.Errorf("no such command %q", verb) })
}

// pour is what the trickle sends. It ends when the last byte is in the socket.
func (p *Trickle) pour(conn *net.TCPConn) error {
	if _, err := io.CopyN(conn, zeros{}, p.Bulk); err != nil {
		return err
	}
	time.Sleep(p.Rest)
	raw, err := conn.SyscallConn()
	if err != nil {
		return err
	}
	one, sent, serr := []byte{1}, 0, error(nil)
	err = raw.Write(func(fd uintptr) bool {
		for ; sent < p.Count; sent++ {
			if serr = unix.Sendto(int(fd), one, unix.MSG_EOR|unix.MSG_DONTWAIT, nil); serr != nil {
				return serr != unix.EAGAIN // which means: wait for room
			}
		}
		return true
	})
	if err == nil {
		err = serr
	}
	return err
}

// zeros reads as zero bytes without end.
type zeros struct{}

// Read fills p, always.
func (zeros) Read(p []byte) (int, error) { clear(p); return len(p), nil }
