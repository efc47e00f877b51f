//go:build linux

package actor

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/netip"
	"os"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"
)

var server = &Actor{
	Name: "server",
	Doc:  "an HTTP/1.1 server whose accept loop, thinking time and manners obey the lab",
	run:  serve,
}

// Server is what the server actor is told at its start.
type Server struct {
	Comm    string `json:"comm"`    // process name, at most 15 bytes
	Addr    string `json:"addr"`    // address and port to listen on
	Backlog int    `json:"backlog"` // of listen(2); the kernel caps it at somaxconn
	// Upstream is the address and port of a server of which each answer is asked first: this one
	// is a proxy then.
	Upstream string `json:"upstream,omitempty"`
	// Resolver is the address and port of a name server that is asked before each answer, in the way of
	// the C library.
	Resolver string `json:"resolver,omitempty"`
	// Defer is TCP_DEFER_ACCEPT, in seconds: accept(2) gives a connection when its first data
	// is there.
	Defer int `json:"defer,omitempty"`
	// Watch is how often the RTTs of the open connections are sampled, 0 for never.
	Watch time.Duration `json:"watch,omitempty"`
}

// The server's commands: "accept 700ms" takes one connection per 700 ms, "accept
// 0s" each at once; "think 1s" waits before each answer; "manner M" is how it
// treats its connections from then on:
const (
	MannerGood  = "good"
	MannerLeak  = "leak"  // answers, and never closes after the client has closed
	MannerReset = "reset" // resets the connection in place of an answer
	MannerClose = "close" // answers, then closes first
	MannerBreak = "break" // closes in place of an answer
)

// house is a running server.
type house struct {
	pace, think atomic.Int64 // ns
	manner      atomic.Value // string
	upstream    string       // address and port; empty: none
	resolver    string       // the same
	mu          sync.Mutex
	open        map[net.Conn]bool
	leaked      []net.Conn // kept from the garbage collector, which would close them
}

// serve accepts and answers until its input ends; its commands are listed at Manner.
func serve(ctx context.Context, c *Cue) error {
	var p Server
	if err := c.params(&p, func() string { return p.Comm }); err != nil {
		return err
	}
	l, err := listen(p.Addr, p.Backlog)
	if err != nil {
		return err
	}
	if p.Defer > 0 {
		if err := deferAccept(l, p.Defer); err != nil {
			return err
		}
	}
	h := &house{open: map[net.Conn]bool{}, upstream: p.Upstream, resolver: p.Resolver}
	h.manner.Store(MannerGood)
	srv := &http.Server{Handler: h, ConnState: h.track, ErrorLog: log.New(io.Discard, "", 0)}
	go srv.Serve(&paced{Listener: l, pace: &h.pace})
	defer srv.Close()
	if p.Watch > 0 {
		go h.watch(ctx, c, p.Watch)
	}
	c.ready(l.Addr().String())
	return c.commands(h.obey)
}

// listen opens a listening socket with a backlog of its own, which net.Listen
// always sets to somaxconn.
func listen(addr string, backlog int) (net.Listener, error) {
	ap, err := netip.ParseAddrPort(addr)
	if err != nil {
		return nil, err
	}
	family, at := sockaddr(ap)
	fd, err := unix.Socket(family, unix.SOCK_STREAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	if err != nil {
		return nil, fmt.Errorf("open socket: %w", err)
	}
	f := os.NewFile(uintptr(fd), addr)
	defer f.Close() // net.FileListener holds its own
	if err := unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_REUSEADDR, 1); err != nil {
		return nil, fmt.Errorf("set SO_REUSEADDR: %w", err)
	}
	if err := unix.Bind(fd, at); err != nil {
		return nil, fmt.Errorf("bind %s: %w", addr, err)
	}
	if err := unix.Listen(fd, backlog); err != nil {
		return nil, fmt.Errorf("listen on %s: %w", addr, err)
	}
	return net.FileListener(f)
}

// sockaddr gives an address and port as the kernel takes them, with their family.
func sockaddr(ap netip.AddrPort) (family int, at unix.Sockaddr) {
	if ap.Addr().Is6() {
		return unix.AF_INET6, &unix.SockaddrInet6{Port: int(ap.Port()), Addr: ap.Addr().As16()}
	}
	return unix.AF_INET, &unix.SockaddrInet4{Port: int(ap.Port()), Addr: ap.Addr().As4()}
}

// deferAccept sets TCP_DEFER_ACCEPT on a listener.
func deferAccept(l net.Listener, seconds int) error {
	raw, err := l.(*net.TCPListener).SyscallConn()
	if err != nil {
		return err
	}
	if cerr := raw.Control(func(fd uintptr) {
		err = unix.SetsockoptInt(int(fd), unix.IPPROTO_TCP, unix.TCP_DEFER_ACCEPT, seconds)
	}); cerr != nil {
		return cerr
	}
	return err
}

// paced is a listener that accepts at most one connection per pace: what it has not
// yet accepted waits in the kernel's accept queue.
type paced struct {
	net.Listener
	pace *atomic.Int64
}

// Accept waits for the pace first and takes a connection then, so that none is held.
func (p *paced) Accept() (net.Conn, error) {
	for start := time.Now(); time.Since(start) < time.Duration(p.pace.Load()); {
		time.Sleep(5 * time.Millisecond) // short, so that a new pace holds at once
	}
	return p.Listener.Accept()
}

// obey follows one command.
func (h *house) obey(verb, arg string) error {
	if verb == "manner" {
		h.manner.Store(arg)
		return nil
	}
	d, err := time.ParseDuration(arg)
	if err != nil {
		return err
	}
	switch verb {
	case "accept":
		h.pace.Store(int64(d))
	case "think":
		h.think.Store(int64(d))
	default:
		return fmt.Errorf("no such command %q", verb)
	}
	return nil
}

// ServeHTTP answers GET /N with N bytes.
func (h *house) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	time.Sleep(time.Duration(h.think.Load()))
	manner := h.manner.Load().(string)
	if manner == MannerReset || manner == MannerLeak || manner == MannerBreak {
		h.offend(w, manner)
		return
	}
	n, err := strconv.Atoi(r.URL.Path[1:])
	if err != nil {
		http.Error(w, "the path is a number of bytes", http.StatusBadRequest)
		return
	}
	if manner == MannerClose {
		w.Header().Set("Connection", "close")
	}
	if h.resolver != "" {
		if err := resolve(h.resolver); err != nil {
			http.Error(w, err.Error(), http.StatusBadGateway)
			return
		}
	}
	if h.upstream != "" {
		if err := h.ask(r); err != nil {
			http.Error(w, err.Error(), http.StatusBadGateway)
			return
		}
	}
	w.Header().Set("Content-Length", strconv.Itoa(n))
	var page [16 << 10]byte
	for n > 0 && err == nil {
		var k int
		k, err = w.Write(page[:min(n, len(page))])
		n -= k
	}
}

// ask has the upstream answer the same request.
func (h *house) ask(r *http.Request) error {
	again, err := http.NewRequestWithContext(r.Context(), http.MethodGet, "http://"+h.upstream+r.URL.Path, nil)
	if err != nil {
		return err
	}
	resp, err := http.DefaultClient.Do(again)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	_, err = io.Copy(io.Discard, resp.Body)
	return err
}

// resolve asks a name server for an address, twice, and waits for each as resolv.conf(5) says, 5 s. What is asked
// and answered is of no interest here.
func resolve(server string) error {
	const timeout, attempts = 5 * time.Second, 2
	for range attempts {
		conn, err := net.Dial("udp", server)
		if err != nil {
			return err
		}
		defer conn.Close()
		question := make([]byte, 32)
		if _, err := conn.Write(question); err != nil {
			return err
		}
		if err := conn.SetReadDeadline(time.Now().Add(timeout)); err != nil {
			return err
		}
		if _, err = conn.Read(question); err == nil {
			return nil
		}
	}
	return errors.New("temporary failure in name resolution")
}

// offend takes the connection away from net/http, which would close it properly.
func (h *house) offend(w http.ResponseWriter, manner string) {
	conn, _, err := w.(http.Hijacker).Hijack()
	if err != nil {
		return
	}
	if manner == MannerReset {
		conn.(*net.TCPConn).SetLinger(0) // close(2) then sends RST, not FIN
		conn.Close()
		return
	}
	if manner == MannerBreak {
		conn.Close()
		return
	}
	io.WriteString(conn, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
	h.mu.Lock()
	h.leaked = append(h.leaked, conn)
	h.mu.Unlock()
}

// track keeps the set of open connections, which watch samples.
func (h *house) track(conn net.Conn, s http.ConnState) {
	h.mu.Lock()
	defer h.mu.Unlock()
	switch s {
	case http.StateNew:
		h.open[conn] = true
	case http.StateClosed, http.StateHijacked:
		delete(h.open, conn)
	}
}

// watch samples the highest smoothed RTT among the open connections, by TCP_INFO.
func (h *house) watch(ctx context.Context, c *Cue, every time.Duration) {
	for ctx.Err() == nil {
		time.Sleep(every)
		var worst uint32
		h.mu.Lock()
		for conn := range h.open {
			if info, err := tcpInfo(conn); err == nil {
				worst = max(worst, info.Rtt)
			}
		}
		h.mu.Unlock()
		c.sample("server.rtt.max_ms", float64(worst)/1e3)
	}
}

// tcpInfo reads the kernel's TCP_INFO of conn; its times are in microseconds.
func tcpInfo(conn net.Conn) (info *unix.TCPInfo, err error) {
	raw, err := conn.(*net.TCPConn).SyscallConn()
	if err != nil {
		return nil, err
	}
	if cerr := raw.Control(func(fd uintptr) {
		info, err = unix.GetsockoptTCPInfo(int(fd), unix.IPPROTO_TCP, unix.TCP_INFO)
	}); cerr != nil {
		return nil, cerr
	}
	return info, err
}
