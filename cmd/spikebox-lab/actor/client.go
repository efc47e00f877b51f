//go:build linux

package actor

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"net/netip"
	"os"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

var client = &Actor{
	Name: "client",
	Doc:  "many HTTP/1.1 clients in one process; tells of every connection it made",
	run:  shop,
}

// Client is what the client actor is told at its start.
type Client struct {
	Comm  string   `json:"comm"`
	Group string   `json:"group"` // written into every Flow
	To    string   `json:"to"`    // address and port
	From  []string `json:"from"`  // source addresses, taken in turn
	// Rate is how many connections are begun per second, evenly but for a jitter
	// drawn from Seed; 0 begins all Count at once.
	Rate     float64       `json:"rate"`
	Count    int           `json:"count"`          // 0: until stopped
	Requests int           `json:"requests"`       // per connection; 0: until stopped
	Gap      time.Duration `json:"gap"`            // between two requests
	Bytes    int           `json:"bytes"`          // of each answer
	RcvBuf   int           `json:"rcvbuf"`         // SO_RCVBUF, which bounds the window; 0: the kernel tunes it
	Patience time.Duration `json:"patience"`       // with connect(2), and with each answer
	Hold     bool          `json:"hold,omitempty"` // keeps the connection open after its last answer, until stopped
	// Shy is how long the client waits between connecting and its first request.
	Shy time.Duration `json:"shy,omitempty"`
	// Nap is how long the client stops reading after the first bytes of each answer.
	Nap  time.Duration `json:"nap,omitempty"`
	Seed uint64        `json:"seed"`
}

// shopping is a running client actor.
type shopping struct {
	Client
	cue *Cue
	wg  sync.WaitGroup
}

// shop begins connections until it has made Count of them or is told to stop, and
// waits for those it has begun; stop cuts them off.
func shop(ctx context.Context, c *Cue) error {
	s := &shopping{cue: c}
	if err := c.params(&s.Client, func() string { return s.Comm }); err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(ctx)
	c.ready("")
	begun := make(chan struct{})
	go func() {
		defer close(begun)
		s.begin(ctx)
	}()
	err := c.commands(func(verb, _ string) error { return fmt.Errorf("no such command %q", verb) })
	cancel()
	<-begun
	s.wg.Wait()
	return err
}

// begin begins connections at the rate, each in a goroutine of its own: one that hangs
// delays no other, as with real clients.
func (s *shopping) begin(ctx context.Context) {
	draw := rand.New(rand.NewPCG(s.Seed, 0))
	for i := 0; (s.Count == 0 || i < s.Count) && ctx.Err() == nil; i++ {
		if s.Rate > 0 && i > 0 {
			wait(ctx, time.Duration((0.5+draw.Float64())/s.Rate*float64(time.Second)))
		}
		from := s.From[i%len(s.From)]
		s.wg.Add(1)
		go func() {
			defer s.wg.Done()
			s.connection(ctx, from)
		}()
	}
}

// connection lives one connection from SYN to end and tells of it.
func (s *shopping) connection(ctx context.Context, from string) {
	to := netip.MustParseAddrPort(s.To)
	f := &Flow{Group: s.Group, Client: from, Server: to.Addr().String(), ServerPort: int(to.Port())}
	begun := time.Now()
	f.First = begun.UnixNano()
	conn, err := s.dial(ctx, from, to, f)
	f.waited(begun, err != nil && ctx.Err() == nil)
	if err == nil {
		f.ConnectMS = ms(time.Duration(time.Now().UnixNano() - f.First))
		err = s.talk(ctx, conn, f)
		if info, ierr := tcpInfo(conn); ierr == nil {
			f.Retransmits, f.RTTms = int(info.Total_retrans), float64(info.Rtt)/1e3
		}
		conn.Close()
	}
	f.End, f.Last = end(ctx, err, conn != nil), time.Now().UnixNano()
	s.cue.flow(f)
}

// talk makes the connection's requests one after another.
func (s *shopping) talk(ctx context.Context, conn net.Conn, f *Flow) error {
	stop := context.AfterFunc(ctx, func() { conn.SetDeadline(time.Now()) })
	defer stop()
	r := bufio.NewReader(conn)
	wait(ctx, s.Shy)
	for s.Requests == 0 || f.Requests < s.Requests {
		if f.Requests > 0 {
			wait(ctx, s.Gap)
		}
		start := time.Now()
		conn.SetDeadline(start.Add(s.Patience))
		if ctx.Err() != nil { // looked at after SetDeadline, which may have undone the stop's
			return ctx.Err()
		}
		n, err := s.request(ctx, conn, r)
		if s.Nap == 0 { // who stops reading has only himself to wait for
			f.waited(start, err != nil && ctx.Err() == nil)
		}
		f.Bytes += n
		f.SlowestMS = max(f.SlowestMS, ms(time.Since(start)))
		if err != nil {
			return err
		}
		f.Requests++
	}
	if s.Hold {
		<-ctx.Done()
	}
	return nil
}

// request asks for one page and reads it, and returns how many bytes its body had. With
// a nap, the body's rest waits in the kernel's receive buffer until that is full.
func (s *shopping) request(ctx context.Context, conn net.Conn, r *bufio.Reader) (int64, error) {
	if _, err := fmt.Fprintf(conn, "GET /%d HTTP/1.1\r\nHost: %s\r\n\r\n", s.Bytes, s.To); err != nil {
		return 0, err
	}
	resp, err := http.ReadResponse(r, nil)
	if err != nil {
		return 0, err
	}
	defer resp.Body.Close()
	if s.Nap > 0 {
		wait(ctx, s.Nap)
		conn.SetDeadline(time.Now().Add(s.Patience))
	}
	return io.Copy(io.Discard, resp.Body)
}

// end names how a connection ended, from the client's point of view.
func end(ctx context.Context, err error, connected bool) string {
	switch {
	case err == nil:
		return "done"
	case errors.Is(err, unix.ECONNREFUSED):
		return "refused"
	case errors.Is(err, unix.EADDRINUSE), errors.Is(err, unix.EADDRNOTAVAIL):
		return "no port" // by bind(2) and by connect(2)
	case errors.Is(err, unix.ECONNRESET):
		return "reset"
	case ctx.Err() != nil:
		return "open"
	case errors.Is(err, os.ErrDeadlineExceeded) && connected:
		return "timeout"
	case errors.Is(err, os.ErrDeadlineExceeded), errors.Is(err, unix.ETIMEDOUT):
		return "unanswered"
	}
	return err.Error()
}

// wait sleeps for d or until ctx ends.
func wait(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
	case <-t.C:
	}
}
