//go:build linux

package recorder

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/signal"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"

	"github.com/spikebox/spikebox/format"
)

// reasonSize bounds an operator's free text.
const reasonSize = 1 << 10

// Status is what a recorder tells of itself.
type Status struct {
	Program    string             `json:"program"`
	PID        int                `json:"pid"`
	Host       string             `json:"host"`
	Armed      time.Time          `json:"armed"`
	LastTick   time.Time          `json:"last_tick"`
	Triggers   []string           `json:"triggers"`
	Interfaces []InterfaceStatus  `json:"interfaces"`
	Vitals     map[string]float64 `json:"vitals"` // as of the last tick; what was not measured is left out
	Sources    []format.Source    `json:"sources"`
	Pending    bool               `json:"pending"` // a trigger fired, and its window or its bundle is not done
	Bundles    int                `json:"bundles"` // written since armed
	LastBundle string             `json:"last_bundle,omitempty"`
	Lost       int                `json:"lost"` // bundles that could not be written
	LastError  string             `json:"last_error,omitempty"`
	Suppressed int                `json:"suppressed"` // firings held back by cooldown and cap
}

// InterfaceStatus is one interface's ring.
type InterfaceStatus struct {
	Name    string    `json:"name"`
	State   string    `json:"state"`
	Reason  string    `json:"reason,omitempty"`
	Covered time.Time `json:"covered"` // its history reaches back to here
	Ring    int       `json:"ring_bytes"`
	Packets uint64    `json:"packets"`
	Lost    uint64    `json:"lost"`
}

// control is the socket over which a local user asks for things, in HTTP so that curl
// --unix-socket can ask as well: GET /status tells a Status, POST /trigger with the reason
// as its body cuts a bundle.
type control struct {
	path     string
	listener net.Listener
	lock     *os.File
}

// listen takes the control socket for this process, or says who has it. A socket that a
// killed recorder left behind is replaced: the lock beside it tells.
func listen(path string) (*control, error) {
	if path == "" {
		return &control{}, nil
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return nil, fmt.Errorf("make folder for control socket: %w", err)
	}
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
	if err := os.Remove(path); err != nil && !errors.Is(err, os.ErrNotExist) {
		lock.Close()
		return nil, fmt.Errorf("replace control socket: %w", err)
	}
	listener, err := net.Listen("unix", path)
	if err == nil {
		err = os.Chmod(path, 0o600)
	}
	if err != nil {
		lock.Close()
		return nil, fmt.Errorf("listen on control socket: %w", err)
	}
	return &control{path: path, listener: listener, lock: lock}, nil
}

// serve answers until the control is closed.
func (c *control) serve(requests chan<- format.Trigger, status chan<- chan<- Status) {
	if c.listener == nil {
		return
	}
	mux := http.NewServeMux()
	mux.HandleFunc("POST /trigger", func(w http.ResponseWriter, req *http.Request) {
		reason, err := io.ReadAll(io.LimitReader(req.Body, reasonSize))
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		t := format.Trigger{Kind: "control", Reason: string(reason), Time: time.Now()}
		select {
		case requests <- t:
			w.Header().Set("Content-Type", "application/json")
			json.NewEncoder(w).Encode(t)
		case <-req.Context().Done():
		}
	})
	mux.HandleFunc("GET /status", func(w http.ResponseWriter, req *http.Request) {
		answer := make(chan Status, 1)
		select {
		case status <- answer:
			w.Header().Set("Content-Type", "application/json")
			json.NewEncoder(w).Encode(<-answer)
		case <-req.Context().Done():
		}
	})
	server := &http.Server{Handler: mux, ReadHeaderTimeout: 5 * time.Second}
	server.Serve(c.listener)
}

// signals asks for a bundle at every SIGUSR1, until the function it gives is called.
func signals(requests chan<- format.Trigger) (stop func()) {
	received, done := make(chan os.Signal, 1), make(chan struct{})
	signal.Notify(received, unix.SIGUSR1)
	go func() {
		for {
			select {
			case <-received:
			case <-done:
				return
			}
			select {
			case requests <- format.Trigger{Kind: "signal", Reason: "SIGUSR1", Time: time.Now()}:
			case <-done:
				return
			}
		}
	}()
	return func() {
		signal.Stop(received)
		close(done)
	}
}

// Close gives the socket back.
func (c *control) Close() error {
	if c.listener == nil {
		return nil
	}
	err := c.listener.Close() // removes the socket's file
	// The lock's file stays: were it removed, a recorder that waits for it and one that
	// makes it anew would both hold "the" lock.
	return errors.Join(err, c.lock.Close())
}
