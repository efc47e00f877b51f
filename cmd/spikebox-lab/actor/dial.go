//go:build linux

package actor

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// dial connects from one address, with a system call each, for net.Dialer closes a
// socket that could not connect, and with it the kernel's count of its SYNs. It
// fills f's ClientPort and SynRetransmits, whether somebody answers or not.
func (s *shopping) dial(ctx context.Context, from string, to netip.AddrPort, f *Flow) (net.Conn, error) {
	file, err := s.socket(from, to, f)
	if err != nil {
		return nil, err
	}
	defer file.Close() // net.FileConn holds its own
	stop := context.AfterFunc(ctx, func() { file.SetWriteDeadline(time.Now()) })
	defer stop()
	file.SetWriteDeadline(time.Now().Add(s.Patience))
	if ctx.Err() != nil {
		return nil, ctx.Err()
	}
	err = connected(file, f)
	if err != nil {
		return nil, err
	}
	return net.FileConn(file)
}

// socket opens a socket, binds it, so that its port is known, and sends its SYN.
func (s *shopping) socket(from string, to netip.AddrPort, f *Flow) (*os.File, error) {
	family, at := sockaddr(to)
	_, own := sockaddr(netip.AddrPortFrom(netip.MustParseAddr(from), 0))
	fd, err := unix.Socket(family, unix.SOCK_STREAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	if err != nil {
		return nil, fmt.Errorf("open socket: %w", err)
	}
	if s.RcvBuf > 0 {
		_ = unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUF, s.RcvBuf) // caps at rmem_max, never fails
	}
	err = unix.Bind(fd, own)
	if err == nil {
		err = unix.Connect(fd, at)
	}
	if name, nerr := unix.Getsockname(fd); nerr == nil {
		switch name := name.(type) {
		case *unix.SockaddrInet4:
			f.ClientPort = name.Port
		case *unix.SockaddrInet6:
			f.ClientPort = name.Port
		}
	}
	if err != nil && err != unix.EINPROGRESS {
		unix.Close(fd)
		return nil, fmt.Errorf("connect to %s: %w", to, err)
	}
	return os.NewFile(uintptr(fd), "connection"), nil // polled, for it does not block
}

// connected waits until a socket that sent its SYN is connected or will never be.
func connected(file *os.File, f *Flow) error {
	raw, err := file.SyscallConn()
	if err != nil {
		return err
	}
	var cerr error
	err = raw.Write(func(fd uintptr) (over bool) {
		if n, err := unix.GetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_ERROR); err == nil && n != 0 {
			cerr = unix.Errno(n)
			return true
		}
		_, perr := unix.Getpeername(int(fd))
		return perr == nil
	})
	_ = raw.Control(func(fd uintptr) {
		if info, ierr := unix.GetsockoptTCPInfo(int(fd), unix.IPPROTO_TCP, unix.TCP_INFO); ierr == nil {
			f.SynRetransmits = int(info.Total_retrans)
			f.Retransmits = f.SynRetransmits
		}
	})
	if err == nil {
		err = cerr
	}
	return err
}
