//go:build linux

// Package drill is the proof that an armed recorder records: a real, harmless event, and the look
// into a bundle for it.
//
// The event is a connection attempt of this process to a port of its own that nobody listens on:
// on loopback, within the recorder's network namespace, for the armed programs and counters look nowhere
// else. A namespace of the drill's own would take CAP_SYS_ADMIN, and prove of the recorder nothing.
package drill

import (
	"errors"
	"fmt"
	"net/netip"
	"time"

	"golang.org/x/sys/unix"
)

// answerMost is how long the kernel has for its answer, which takes microseconds where no rule drops it.
const answerMost = 2 * time.Second

// Target is a port of 127.0.0.1 that is taken and not listened on: a SYN to it is refused, and
// nobody else is asked.
type Target struct {
	fd   int
	addr netip.AddrPort
}

// Take takes a free port.
func Take() (*Target, error) {
	fd, addr, err := bound()
	if err != nil {
		return nil, err
	}
	return &Target{fd, addr}, nil
}

// bound is a TCP socket on a free port of loopback.
func bound() (fd int, addr netip.AddrPort, err error) {
	fd, err = unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	if err != nil {
		return -1, addr, fmt.Errorf("open socket: %w", err)
	}
	err = unix.Bind(fd, &unix.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}})
	var name unix.Sockaddr
	if err == nil {
		name, err = unix.Getsockname(fd)
	}
	if err != nil {
		unix.Close(fd)
		return -1, addr, fmt.Errorf("take a port of 127.0.0.1: %w", err)
	}
	in := name.(*unix.SockaddrInet4)
	return fd, netip.AddrPortFrom(netip.AddrFrom4(in.Addr), uint16(in.Port)), nil
}

// Port is the one that was taken.
func (t *Target) Port() uint16 { return t.addr.Port() }

// Close gives it back.
func (t *Target) Close() { unix.Close(t.fd) }

// Event is a connection attempt that was refused.
type Event struct {
	At             time.Time
	Client, Server netip.AddrPort
}

// Knock makes the attempt. It fails where it is not refused: dropped by a rule of this host, or with loopback down.
func (t *Target) Knock() (Event, error) {
	fd, client, err := bound()
	if err != nil {
		return Event{}, err
	}
	defer unix.Close(fd)
	e := Event{At: time.Now(), Client: client, Server: t.addr}
	// Not blocking: where SYNs are dropped connect(2) would wait for minutes.
	err = unix.Connect(fd, &unix.SockaddrInet4{Addr: t.addr.Addr().As4(), Port: int(t.Port())})
	if errors.Is(err, unix.EINPROGRESS) {
		err = answer(fd)
	}
	switch {
	case errors.Is(err, unix.ECONNREFUSED):
		return e, nil
	case err == nil:
		return e, fmt.Errorf("connect to %v: it was accepted, although nobody listens: something answers in its place", t.addr)
	}
	return e, fmt.Errorf("connect to %v: %w", t.addr, err)
}

// answer waits for what a connection attempt comes to.
func answer(fd int) error {
	poll := []unix.PollFd{{Fd: int32(fd), Events: unix.POLLOUT}}
	for end := time.Now().Add(answerMost); ; {
		n, err := unix.Poll(poll, int(time.Until(end).Milliseconds())+1)
		switch {
		case errors.Is(err, unix.EINTR):
			continue
		case err != nil:
			return fmt.Errorf("wait for an answer: %w", err)
		case n == 0:
			return fmt.Errorf("no answer for %v: loopback is down, or a rule of this host drops it", answerMost)
		}
		status, err := unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_ERROR)
		if err != nil || status == 0 {
			return err
		}
		return unix.Errno(status)
	}
}
