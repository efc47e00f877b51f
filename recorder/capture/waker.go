//go:build linux

package capture

import (
	"encoding/binary"
	"errors"
	"fmt"
	"time"

	"golang.org/x/sys/unix"
)

// waker waits until the kernel has finished a block of one of the rings. It tells as it
// closes one (net/packet/af_packet.c, prb_close_block); an idle ring wakes nobody.
//
// Level-triggered, a ring that holds history would always be ready, since packet_poll looks
// at the block before the open one. Edge-triggered, blocks that are finished while nobody
// waits are one wake-up together, at the next wait.
type waker struct {
	epoll int
	end   int // an event counter: something in it ends all waiting
	bell  int // another, which ends one wait
}

func newWaker() (*waker, error) {
	epoll, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	if err != nil {
		return nil, fmt.Errorf("make epoll: %w", err)
	}
	end, err := unix.Eventfd(0, unix.EFD_CLOEXEC|unix.EFD_NONBLOCK)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("make event counter: %w", err), unix.Close(epoll))
	}
	bell, err := unix.Eventfd(0, unix.EFD_CLOEXEC|unix.EFD_NONBLOCK)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("make event counter: %w", err), unix.Close(epoll), unix.Close(end))
	}
	w := &waker{epoll, end, bell}
	if err := errors.Join(w.add(end, 0), w.add(bell, unix.EPOLLET)); err != nil {
		return nil, errors.Join(err, w.Close())
	}
	return w, nil
}

// watch has the ring wake from now on, until it is closed.
func (w *waker) watch(p *Packets) error { return w.add(p.fd, unix.EPOLLET) }

func (w *waker) add(fd int, flags uint32) error {
	event := unix.EpollEvent{Events: unix.EPOLLIN | flags}
	if err := unix.EpollCtl(w.epoll, unix.EPOLL_CTL_ADD, fd, &event); err != nil {
		return fmt.Errorf("watch packet ring: %w", err)
	}
	return nil
}

// wait waits for a block, but not longer than most. It is a system call that blocks its
// thread: through Go's own poller each block would wake a thread also while nobody waits.
func (w *waker) wait(most time.Duration) {
	var events [8]unix.EpollEvent
	_, _ = unix.EpollWait(w.epoll, events[:], milliseconds(most)) // EINTR is a wake-up too many
}

// pause waits, whatever the rings do, and returns false where stop was called, before or
// meanwhile. A timer of Go's would wake two more threads of its scheduler.
func (w *waker) pause(d time.Duration) bool {
	fds := []unix.PollFd{{Fd: int32(w.end), Events: unix.POLLIN}}
	n, _ := unix.Poll(fds, milliseconds(d))
	return n <= 0
}

// milliseconds rounds up: a wait of less than one must not become none.
func milliseconds(d time.Duration) int {
	return int((max(0, d) + time.Millisecond - 1) / time.Millisecond)
}

// stop ends all waiting for good.
func (w *waker) stop() error { return count(w.end) }

// ring ends the wait that goes on, or the next.
func (w *waker) ring() error { return count(w.bell) }

// count adds one to an event counter.
func count(fd int) error {
	_, err := unix.Write(fd, binary.NativeEndian.AppendUint64(nil, 1))
	return err
}

// Close is for when nobody waits.
func (w *waker) Close() error {
	return errors.Join(unix.Close(w.epoll), unix.Close(w.end), unix.Close(w.bell))
}
