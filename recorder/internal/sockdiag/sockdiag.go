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

	"golang.org/x/sys/unix"

	"github.com/spikebox/spikebox/recorder/internal/nldump"
)

// TCP socket states (include/net/tcp_states.h).
const (
	Established = 1
	SynRecv     = 3
	Listen      = 10
	All         = 1<<13 - 2 // bits of every state
)

const (
	// getSock is TCPDIAG_GETSOCK, the first form of the request (include/uapi/linux/inet_diag.h). The kernel
	// reads it as one for both families (net/ipv4/inet_diag.c, inet_diag_dump_compat) and walks its table once:
	// SOCK_DIAG_BY_FAMILY wants a walk for each, of as many buckets as memory has room for, 2 MiB of them on 24 GiB.
	getSock         = 18
	inetDiagReqSize = 60 // struct inet_diag_req
	inetDiagMsgSize = 72 // struct inet_diag_msg
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
	States uint32 // bits 1<<state
	Detail bool   // with tcp_info and memory
	Buffer []byte // see nldump.Request
}

// Dump calls f for every TCP socket that the query matches, of IPv4 and IPv6, in the network namespace of
// the calling thread: listeners first (inet_diag_dump_icsk); until f says no more. The Socket is valid during the call.
func Dump(q Query, f func(*Socket) bool) error {
	request := nldump.Request{
		What: "TCP sockets by sock_diag", Protocol: unix.NETLINK_SOCK_DIAG,
		Type: getSock, Body: q.request(), Buffer: q.Buffer,
	}
	var s Socket
	var bad error
	err := nldump.Dump(request, func(_ uint16, body []byte) bool {
		if !s.decode(body) {
			bad = fmt.Errorf("read sock_diag answer: socket of %d bytes", len(body))
			return false
		}
		return f(&s)
	})
	return errors.Join(err, bad)
}

// request is a struct inet_diag_req, whose idiag_family nobody reads.
func (q Query) request() []byte {
	b := make([]byte, inetDiagReqSize)
	if q.Detail {
		b[3] = extInfo | extSKMem
	}
	binary.NativeEndian.PutUint32(b[52:], q.States)
	return b
}

// decode reads an inet_diag_msg and its attributes.
func (s *Socket) decode(b []byte) bool {
	if len(b) < inetDiagMsgSize {
		return false
	}
	// Addresses and ports are as in packets, the rest as the machine has it
	// (inet_diag_msg_common_fill, net/ipv4/inet_diag.c).
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
	for kind, value := range nldump.Attrs(b[inetDiagMsgSize:]) {
		switch {
		case kind == attrInfo:
			s.Info = value
		case kind == attrSKMem:
			s.SKMem = value
		case kind == attrCgroup && len(value) >= 8:
			s.Cgroup = native.Uint64(value)
		}
	}
	return true
}

func address(family uint8, b []byte) netip.Addr {
	if family == unix.AF_INET {
		return netip.AddrFrom4([4]byte(b[:4]))
	}
	return netip.AddrFrom16([16]byte(b[:16]))
}
