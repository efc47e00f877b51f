//go:build linux

// Package sockdiag dumps TCP sockets through NETLINK_SOCK_DIAG and decodes them in
// place: a dump of 100,000 sockets allocates one receive buffer. Libraries that build
// a value per socket were measured at many times its memory.
package sockdiag

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
	"os"

	"golang.org/x/sys/unix"
)

// TCP socket states (include/net/tcp_states.h).
const (
	Established = 1
	SynRecv     = 3
	Listen      = 10
	NewSynRecv  = 12
	All         = 1<<13 - 2 // bits of every state
)

const (
	inetDiagReqV2Size = 56       // struct inet_diag_req_v2, include/uapi/linux/inet_diag.h
	inetDiagMsgSize   = 72       // struct inet_diag_msg
	receiveSize       = 64 << 10 // the kernel fills at most 32 KiB at once (net/netlink/af_netlink.c, netlink_recvmsg)
)

// Attributes of a reply (include/uapi/linux/inet_diag.h, INET_DIAG_*).
const (
	attrInfo   = 2
	attrSKMem  = 7
	attrCgroup = 21
	extInfo    = 1 << (attrInfo - 1)
	extSKMem   = 1 << (attrSKMem - 1)
)

// Socket is one inet_diag_msg, decoded. Info and SKMem alias the receive buffer.
type Socket struct {
	Family        uint8 // unix.AF_INET or AF_INET6
	State         uint8
	Timer         uint8 // 0 off, 1 on, 2 keepalive, 3 timewait, 4 persist
	Retransmits   uint8
	Local, Remote netip.AddrPort
	Interface     uint32
	Cookie        uint64
	ExpiresMs     uint32
	RecvQ, SendQ  uint32 // of a listener: accept queue length and its limit
	UID           uint32
	Inode         uint32
	Info          []byte // struct tcp_info, as long as this kernel makes it; nil where not asked for
	SKMem         []byte // u32 array of SK_MEMINFO_*; nil where not asked for
	Cgroup        uint64 // cgroup v2 inode, 0 where the kernel does not say (before 5.9)
}

// Query says which sockets to dump.
type Query struct {
	Family uint8  // unix.AF_INET or AF_INET6
	States uint32 // bits 1<<state
	Detail bool   // with tcp_info and memory
}

// errStop ends a dump that its caller has had enough of.
var errStop = errors.New("stop")

// Dump calls f for every TCP socket that the query matches in the network namespace of
// the calling thread, until f says no more. The Socket is valid during the call.
func Dump(q Query, f func(*Socket) bool) error {
	fd, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC, unix.NETLINK_SOCK_DIAG)
	if err != nil {
		return os.NewSyscallError("open sock_diag socket", err)
	}
	defer unix.Close(fd)
	// A kernel without tcp_diag answers nothing at all to some requests: never wait for ever.
	timeout := unix.Timeval{Sec: 2}
	if err := unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &timeout); err != nil {
		return os.NewSyscallError("set sock_diag timeout", err)
	}
	if err := unix.Sendto(fd, request(q), 0, &unix.SockaddrNetlink{Family: unix.AF_NETLINK}); err != nil {
		return os.NewSyscallError("send sock_diag request", err)
	}
	buf := make([]byte, receiveSize)
	for {
		n, _, err := unix.Recvfrom(fd, buf, 0)
		if err == unix.EINTR {
			continue
		}
		if err != nil {
			return os.NewSyscallError("receive sock_diag reply", err)
		}
		done, err := messages(buf[:n], f)
		if err == errStop || err == nil && done {
			return nil
		}
		if err != nil {
			return err
		}
	}
}

func request(q Query) []byte {
	native := binary.NativeEndian
	b := make([]byte, unix.SizeofNlMsghdr+inetDiagReqV2Size)
	native.PutUint32(b[0:], uint32(len(b)))
	native.PutUint16(b[4:], unix.SOCK_DIAG_BY_FAMILY)
	native.PutUint16(b[6:], unix.NLM_F_REQUEST|unix.NLM_F_DUMP)
	body := b[unix.SizeofNlMsghdr:]
	body[0], body[1] = q.Family, unix.IPPROTO_TCP
	if q.Detail {
		body[2] = extInfo | extSKMem
	}
	native.PutUint32(body[4:], q.States)
	return b
}

// messages walks one datagram of netlink messages and says whether the dump is done.
func messages(b []byte, f func(*Socket) bool) (done bool, err error) {
	native := binary.NativeEndian
	var s Socket
	for len(b) >= unix.SizeofNlMsghdr {
		size, kind := int(native.Uint32(b)), native.Uint16(b[4:])
		if size < unix.SizeofNlMsghdr || size > len(b) {
			return false, fmt.Errorf("read sock_diag reply: message of %d bytes in %d", size, len(b))
		}
		body := b[unix.SizeofNlMsghdr:size]
		switch kind {
		case unix.NLMSG_DONE:
			return true, nil
		case unix.NLMSG_ERROR:
			return false, nlError(body)
		case unix.SOCK_DIAG_BY_FAMILY:
			if !s.decode(body) {
				return false, fmt.Errorf("read sock_diag reply: socket of %d bytes", len(body))
			}
			if !f(&s) {
				return false, errStop
			}
		}
		b = b[min(align4(size), len(b)):]
	}
	return false, nil
}

func nlError(body []byte) error {
	if len(body) < 4 {
		return errors.New("read sock_diag reply: error message cut short")
	}
	errno := -int32(binary.NativeEndian.Uint32(body))
	if errno == 0 {
		return nil
	}
	return os.NewSyscallError("dump sockets by sock_diag", unix.Errno(errno))
}

// decode reads an inet_diag_msg and its attributes.
func (s *Socket) decode(b []byte) bool {
	if len(b) < inetDiagMsgSize {
		return false
	}
	native := binary.NativeEndian
	*s = Socket{
		Family: b[0], State: b[1], Timer: b[2], Retransmits: b[3],
		Local:     netip.AddrPortFrom(address(b[0], b[8:24]), binary.BigEndian.Uint16(b[4:])),
		Remote:    netip.AddrPortFrom(address(b[0], b[24:40]), binary.BigEndian.Uint16(b[6:])),
		Interface: native.Uint32(b[40:]),
		Cookie:    uint64(native.Uint32(b[44:])) | uint64(native.Uint32(b[48:]))<<32,
		ExpiresMs: native.Uint32(b[52:]),
		RecvQ:     native.Uint32(b[56:]), SendQ: native.Uint32(b[60:]),
		UID: native.Uint32(b[64:]), Inode: native.Uint32(b[68:]),
	}
	for b = b[inetDiagMsgSize:]; len(b) >= unix.SizeofNlAttr; {
		size, kind := int(native.Uint16(b)), native.Uint16(b[2:])
		if size < unix.SizeofNlAttr || size > len(b) {
			return false
		}
		value := b[unix.SizeofNlAttr:size]
		switch {
		case kind == attrInfo:
			s.Info = value
		case kind == attrSKMem:
			s.SKMem = value
		case kind == attrCgroup && len(value) >= 8:
			s.Cgroup = native.Uint64(value)
		}
		b = b[min(align4(size), len(b)):]
	}
	return true
}

func address(family uint8, b []byte) netip.Addr {
	if family == unix.AF_INET {
		return netip.AddrFrom4([4]byte(b[:4]))
	}
	return netip.AddrFrom16([16]byte(b[:16]))
}

func align4(n int) int { return (n + 3) &^ 3 }

// Families are the address families that TCP sockets come in.
var Families = []uint8{unix.AF_INET, unix.AF_INET6}
