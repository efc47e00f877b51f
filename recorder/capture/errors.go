//go:build linux

package capture

import (
	"errors"
	"fmt"

	"golang.org/x/sys/unix"
)

// ErrCutOpen is returned by Set.Cut while an earlier Cut has not been closed: the
// history can be held for one cut at a time.
var ErrCutOpen = errors.New("cut the packet rings: an earlier cut is still open")

// ErrClosed is returned by the methods of a closed Set.
var ErrClosed = errors.New("use the packet rings: they are closed")

// OpenError says at which step a ring could not be opened.
type OpenError struct {
	Step      string // open packet socket, allocate packet ring of 64 MiB, bind packet socket, …
	Interface string
	Err       error
}

// errTooLong is what ENOMEM means where a filter is attached: it is charged to net.core.optmem_max (sk_filter_charge, net/core/filter.c), eight
// bytes an instruction as the kernel has translated it. It is no ENOMEM to those who would try a smaller ring.
var errTooLong = errors.New("it is longer than the kernel takes on a socket (net.core.optmem_max, 20 KiB before Linux 6.8)")

// Error implements error.
func (e *OpenError) Error() string {
	return fmt.Sprintf("%s on %s: %v", e.Step, e.Interface, e.Err)
}

// Unwrap returns the system's error.
func (e *OpenError) Unwrap() error { return e.Err }

// Hint says what to do about it, or nothing.
func (e *OpenError) Hint() string {
	switch {
	case errors.Is(e.Err, unix.EPERM), errors.Is(e.Err, unix.EACCES):
		return "it needs CAP_NET_RAW; run as root or use the systemd unit"
	case errors.Is(e.Err, errTooLong):
		return "give fewer --port or --peer"
	case errors.Is(e.Err, unix.ENOMEM):
		return "the kernel has no memory for a ring of this size; use a smaller --ring"
	case errors.Is(e.Err, unix.EAFNOSUPPORT):
		return "this kernel has no packet sockets (CONFIG_PACKET)"
	}
	return ""
}
