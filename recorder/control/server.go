//go:build linux

package control

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"golang.org/x/net/netutil"
	"golang.org/x/sys/unix"

	"github.com/spikebox/spikebox/format"
)

const (
	// reasonSize bounds an operator's free text.
	reasonSize = 1 << 10
	// hearTime and tellTime bound a client that sends or reads slowly, or not at all: to a
	// recorder that is well both take milliseconds.
	hearTime = 5 * time.Second
	tellTime = 10 * time.Second
	// clientsMost is how many are served at a time: the descriptors that a bundle needs are
	// not theirs to take. Others wait in the socket's backlog.
	clientsMost = 16
	// headSize is many times a browser's head: each client may have it in memory.
	headSize = 16 << 10
)

// Server is the control socket of one recorder.
type Server struct {
	listener net.Listener // nil: no socket was wanted
	lock     *os.File
}

// Listen takes the socket at path for this process, or says who has it; with an empty path
// nobody can ask. A socket that a killed recorder left behind is replaced, and nothing else.
func Listen(path string) (*Server, error) {
	if path == "" {
		return &Server{}, nil
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return nil, fmt.Errorf("make folder for control socket: %w", err)
	}
	// A lock, because the kernel gives it back however its holder ends; the socket's file
	// outlives kill -9, and to connect to it would ask a recorder that is only starting.
	lock, err := os.OpenFile(path+".lock", os.O_CREATE|os.O_RDWR|unix.O_CLOEXEC, 0o600)
	if err != nil {
		return nil, fmt.Errorf("lock control socket %s: %w", path, err)
	}
	if err := unix.Flock(int(lock.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		lock.Close()
		if errors.Is(err, unix.EWOULDBLOCK) {
			return nil, fmt.Errorf("listen on control socket %s: another spikeboxd is armed on it", path)
		}
		return nil, fmt.Errorf("lock control socket %s: %w", path, err)
	}
	if err := RemoveLeft(path); err != nil {
		lock.Close()
		return nil, fmt.Errorf("listen on control socket: %w", err)
	}
	listener, err := ListenUnix(path, 0o600)
	if err != nil {
		lock.Close()
		return nil, fmt.Errorf("listen on control socket: %w", err)
	}
	return &Server{listener, lock}, nil
}

// ListenUnix makes a socket whose file has a mode from its first moment on: with one that is set
// afterwards, whoever was faster would be connected. The umask takes nothing from it.
func ListenUnix(path string, mode uint32) (net.Listener, error) {
	listener, err := private(mode).Listen(context.Background(), "unix", path)
	if err != nil {
		return nil, err
	}
	if err := os.Chmod(path, os.FileMode(mode)); err != nil {
		return nil, errors.Join(err, listener.Close())
	}
	return listener, nil
}

// private makes sockets whose files have a mode, less the umask: the file gets that which the
// socket has when it is bound (unix_bind_bsd, net/unix/af_unix.c).
func private(mode uint32) *net.ListenConfig {
	return &net.ListenConfig{Control: func(_, _ string, c syscall.RawConn) (err error) {
		failed := c.Control(func(fd uintptr) { err = unix.Fchmod(int(fd), mode) })
		return errors.Join(failed, err)
	}}
}

// Guarded is a server whose clients cost it little, whatever they send, and that none of them keeps busy. A
// connection is for one question: kept open for the next, those of a few scrapers would be all that are served.
func Guarded(h http.Handler) *http.Server {
	s := &http.Server{Handler: h, ReadTimeout: hearTime, WriteTimeout: tellTime, MaxHeaderBytes: headSize,
		// What it has to say of clients it would print by itself, a line a second while there are too many, and not as the log's are.
		ErrorLog: slog.NewLogLogger(slog.DiscardHandler, slog.LevelError)}
	s.SetKeepAlivesEnabled(false)
	return s
}

// longestPath is what the kernel's address of a socket has room for, its closing 0 aside (struct sockaddr_un, unix(7)).
const longestPath = 107

// Usable says why a socket cannot be made at path: what is there and no socket is somebody's file,
// whose name was given by mistake, and a socket at which somebody answers is in use.
func Usable(path string) error {
	info, err := os.Lstat(path)
	switch {
	case len(path) > longestPath:
		return fmt.Errorf("use %s: the path of a socket has at most %d bytes, and this one %d", path, longestPath, len(path))
	case errors.Is(err, os.ErrNotExist):
		return nil
	case err != nil:
		return err
	case info.Mode().Type() != os.ModeSocket:
		return fmt.Errorf("use %s: it is there and no socket: want a path at which nothing is", path)
	}
	// Refused is what nobody listens at. Any other answer, as that of a datagram socket or of a full backlog, is a
	// program's.
	conn, err := net.Dial("unix", path)
	if err == nil {
		conn.Close()
	}
	if !errors.Is(err, unix.ECONNREFUSED) {
		return fmt.Errorf("use %s: %w: another program listens there", path, unix.EADDRINUSE)
	}
	return nil
}

// RemoveLeft removes the socket at path that a killed program left, so that the next can listen there, and nothing else.
func RemoveLeft(path string) error {
	if err := Usable(path); err != nil {
		return err
	}
	if err := os.Remove(path); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	return nil
}

// Taken says whether a recorder holds the socket at path.
func Taken(path string) bool {
	lock, err := os.OpenFile(path+".lock", os.O_RDWR|unix.O_CLOEXEC, 0)
	if path == "" || err != nil {
		return false
	}
	defer lock.Close()
	return errors.Is(unix.Flock(int(lock.Fd()), unix.LOCK_EX|unix.LOCK_NB), unix.EWOULDBLOCK)
}

// Loop is where the recorder takes what users ask for: triggers, and for each question how it is and each
// drill where the answer goes.
type Loop struct {
	Triggers chan<- format.Trigger
	Asked    chan<- chan<- Status
	Drills   chan<- chan<- Drill
}

// Serve answers until the server is closed.
func (s *Server) Serve(loop Loop) {
	if s.listener == nil {
		return
	}
	// The recorder takes a question between two ticks, so that an answer is never of half
	// a tick. One that nobody takes any more ends with its connection.
	mux := http.NewServeMux()
	mux.HandleFunc("POST /trigger", func(w http.ResponseWriter, req *http.Request) {
		reason, err := io.ReadAll(io.LimitReader(req.Body, reasonSize))
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		t := format.Trigger{Kind: "control", Reason: string(reason), Time: time.Now()}
		select {
		case loop.Triggers <- t:
			w.Header().Set("Content-Type", "application/json")
			json.NewEncoder(w).Encode(t)
		case <-req.Context().Done():
		}
	})
	mux.HandleFunc("GET /status", func(w http.ResponseWriter, req *http.Request) {
		answer := make(chan Status, 1)
		select {
		case loop.Asked <- answer:
			w.Header().Set("Content-Type", "application/json")
			json.NewEncoder(w).Encode(<-answer)
		case <-req.Context().Done():
		}
	})
	mux.HandleFunc("POST /drill", func(w http.ResponseWriter, req *http.Request) {
		// A bundle is written meanwhile.
		c, late := http.NewResponseController(w), time.Now().Add(drillTime)
		_, _ = c.SetReadDeadline(late), c.SetWriteDeadline(late)
		answer := make(chan Drill, 1)
		select {
		case loop.Drills <- answer:
		case <-req.Context().Done():
			return
		}
		select {
		case drill := <-answer:
			w.Header().Set("Content-Type", "application/json")
			json.NewEncoder(w).Encode(drill)
		case <-req.Context().Done():
		}
	})
	_ = Guarded(mux).Serve(netutil.LimitListener(s.listener, clientsMost))
}

// Close gives the socket back.
func (s *Server) Close() error {
	if s.listener == nil {
		return nil
	}
	err := s.listener.Close() // removes the socket's file
	// The lock's file stays: were it removed, a recorder that waits for it and one that
	// makes it anew would both hold "the" lock.
	return errors.Join(err, s.lock.Close())
}
