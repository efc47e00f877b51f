//go:build linux

// Package nldump asks the kernel for a table through netlink and gives its messages as
// they lie in the receive buffer: a dump of any length allocates one buffer.
package nldump

import (
	"encoding/binary"
	"errors"
	"fmt"
	"iter"
	"runtime"
	"unsafe"

	"golang.org/x/sys/unix"
)

const (
	// bufferSize is twice what the kernel fills at once (net/netlink/af_netlink.c, netlink_dump),
	// and a single message of a dump that asks for no details of virtual functions is smaller.
	bufferSize = 64 << 10
	// A kernel without tcp_diag answers nothing at all to some requests: never wait for ever.
	receiveSeconds = 2
)

// ErrInterrupted says that the table changed while it was dumped: all that was given was
// true at some moment, but something may be missing or there twice.
var ErrInterrupted = errors.New("the table changed while it was read")

// errStop ends a dump that its caller has had enough of.
var errStop = errors.New("stop")

// Request is a dump request.
type Request struct {
	What     string // for errors: "TCP sockets by sock_diag"
	Protocol int    // unix.NETLINK_*
	Type     uint16 // of the message
	Body     []byte // behind the header: the fixed structure of the type
	Buffer   []byte // for the answer, used again by whoever asks often; nil: one is made
}

// Buffer makes one that is large enough for every answer.
func Buffer() []byte { return make([]byte, bufferSize) }

// Dump calls f for every message of the answer, in the network namespace of the calling
// thread, until f says no more. The body is valid during the call. ErrInterrupted comes
// after the whole answer.
func Dump(r Request, f func(kind uint16, body []byte) bool) error {
	if err := r.dump(f); err != nil {
		return fmt.Errorf("dump %s: %w", r.What, err)
	}
	return nil
}

func (r Request) dump(f func(uint16, []byte) bool) error {
	fd, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC, r.Protocol)
	if err != nil {
		return fmt.Errorf("open netlink socket: %w", err)
	}
	defer unix.Close(fd)
	if err := unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &unix.Timeval{Sec: receiveSeconds}); err != nil {
		return fmt.Errorf("set netlink timeout: %w", err)
	}
	if err := unix.Sendto(fd, r.marshal(), 0, &unix.SockaddrNetlink{Family: unix.AF_NETLINK}); err != nil {
		return fmt.Errorf("send netlink request: %w", err)
	}
	w := walk{f: f}
	buf := r.Buffer
	if buf == nil {
		buf = Buffer()
	}
	// The kernel gives some hundred messages at once. Between two of such, what waits for this
	// processor goes first: a dump of a million is long, and a tick is due at its time.
	for ; ; runtime.Gosched() {
		n, err := receive(fd, buf)
		switch {
		case err == unix.EINTR:
			continue
		case err != nil:
			return fmt.Errorf("receive netlink answer: %w", err)
		case n > len(buf):
			return fmt.Errorf("receive netlink answer: %d bytes at once, more than %d", n, len(buf))
		}
		if done, err := w.messages(buf[:n]); done || err != nil {
			return w.result(err)
		}
	}
}

// receive reads one datagram, and gives its real size (MSG_TRUNC): one that did not fit is an
// error, not a short table. unix.Recvfrom would allocate who sent it, which is the kernel.
func receive(fd int, buf []byte) (int, error) {
	n, _, errno := unix.Syscall6(unix.SYS_RECVFROM, uintptr(fd), uintptr(unsafe.Pointer(&buf[0])), uintptr(len(buf)), unix.MSG_TRUNC, 0, 0)
	if errno != 0 {
		return 0, errno
	}
	return int(n), nil
}

func (r Request) marshal() []byte {
	b := make([]byte, unix.SizeofNlMsghdr, unix.SizeofNlMsghdr+len(r.Body))
	binary.NativeEndian.PutUint32(b, uint32(unix.SizeofNlMsghdr+len(r.Body)))
	binary.NativeEndian.PutUint16(b[4:], r.Type)
	binary.NativeEndian.PutUint16(b[6:], unix.NLM_F_REQUEST|unix.NLM_F_DUMP)
	return append(b, r.Body...)
}

// walk goes through the datagrams of one dump.
type walk struct {
	f           func(kind uint16, body []byte) bool
	interrupted bool
}

func (w *walk) result(err error) error {
	switch {
	case err == errStop:
		return nil
	case err == nil && w.interrupted:
		return ErrInterrupted
	}
	return err
}

// messages walks one datagram and says whether the dump is done.
func (w *walk) messages(b []byte) (done bool, err error) {
	native := binary.NativeEndian
	for len(b) >= unix.SizeofNlMsghdr {
		size, kind, flags := int(native.Uint32(b)), native.Uint16(b[4:]), native.Uint16(b[6:])
		if size < unix.SizeofNlMsghdr || size > len(b) {
			return false, fmt.Errorf("read netlink answer: message of %d bytes in %d", size, len(b))
		}
		body := b[unix.SizeofNlMsghdr:size]
		w.interrupted = w.interrupted || flags&unix.NLM_F_DUMP_INTR != 0
		switch {
		case kind == unix.NLMSG_DONE:
			return true, errno(body)
		case kind == unix.NLMSG_ERROR:
			return true, errno(body)
		case kind >= unix.NLMSG_MIN_TYPE && !w.f(kind, body):
			return false, errStop
		}
		b = b[min(align4(size), len(b)):]
	}
	return false, nil
}

// errno reads the error that NLMSG_ERROR begins with, and NLMSG_DONE since Linux 4.20.
func errno(body []byte) error {
	if len(body) < 4 {
		return nil
	}
	if n := -int32(binary.NativeEndian.Uint32(body)); n > 0 {
		return unix.Errno(n)
	}
	return nil
}

// Attrs walks the attributes (struct nlattr) in b: the type without its flags, and the
// value. It ends where one does not fit.
func Attrs(b []byte) iter.Seq2[uint16, []byte] {
	return func(yield func(uint16, []byte) bool) {
		for len(b) >= unix.SizeofNlAttr {
			size, kind := int(binary.NativeEndian.Uint16(b)), binary.NativeEndian.Uint16(b[2:])
			if size < unix.SizeofNlAttr || size > len(b) {
				return
			}
			if !yield(kind&^(unix.NLA_F_NESTED|unix.NLA_F_NET_BYTEORDER), b[unix.SizeofNlAttr:size]) {
				return
			}
			b = b[min(align4(size), len(b)):]
		}
	}
}

// Uint reads a value of 1, 2, 4 or 8 bytes in the machine's order, 0 where it has another
// length.
func Uint(v []byte) uint64 { return number(binary.NativeEndian, v) }

// BigUint reads a value of 1, 2, 4 or 8 bytes in network order, as netfilter has them.
func BigUint(v []byte) uint64 { return number(binary.BigEndian, v) }

func number(order binary.ByteOrder, v []byte) uint64 {
	switch len(v) {
	case 1:
		return uint64(v[0])
	case 2:
		return uint64(order.Uint16(v))
	case 4:
		return uint64(order.Uint32(v))
	case 8:
		return order.Uint64(v)
	}
	return 0
}

// Text reads a value that is a string, which the kernel ends with a zero byte.
func Text(v []byte) string { return unix.ByteSliceToString(v) }

func align4(n int) int { return (n + 3) &^ 3 }
