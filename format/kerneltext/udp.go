package kerneltext

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"net/netip"
	"strconv"
)

// UDPRow is one socket of /proc/net/udp or udp6.
type UDPRow struct {
	Local, Remote netip.AddrPort
	Connected     bool   // to Remote, which alone it hears
	RxQueue       uint64 // bytes that wait to be read, with the memory that they take
	Inode         uint64
	Drops         uint64 // datagrams that found no room, since it was opened
}

// ParseUDP reads /proc/net/udp and udp6 (net/ipv4/udp.c, udp4_format_sock; net/ipv6/datagram.c,
// __ip6_dgram_sock_seq_show, Linux 2.6.27 to 6.18), a line for each socket. It does not allocate.
func ParseUDP(text []byte, row func(UDPRow)) error {
	return Lines(text, func(_ int, line []byte) error {
		_, rest, ok := bytes.Cut(line, []byte(": ")) // the header has none
		if !ok {
			return nil
		}
		var r UDPRow
		// local, remote, st, tx:rx, tr:when, retrnsmt, uid, timeout, inode, ref, pointer, drops
		for i := range 12 {
			var field []byte
			field, rest = word(rest)
			if !r.set(i, field) {
				return fmt.Errorf("%q is not field %d of a UDP socket", Clip(field), i+1)
			}
		}
		row(r)
		return nil
	})
}

// set takes a field of a socket's line, counted from the address on, and says whether it can be one.
func (r *UDPRow) set(i int, field []byte) (ok bool) {
	const established = "01" // include/net/tcp_states.h
	switch i {
	case 0:
		r.Local, ok = hexAddrPort(field)
	case 1:
		r.Remote, ok = hexAddrPort(field)
	case 2:
		r.Connected, ok = string(field) == established, len(field) == 2
	case 3:
		_, queue, _ := bytes.Cut(field, []byte(":"))
		r.RxQueue, ok = number(queue, 16)
	case 8:
		r.Inode, ok = number(field, 10)
	case 11:
		r.Drops, ok = number(field, 10)
	default:
		ok = len(field) > 0
	}
	return ok
}

func number(digits []byte, base int) (v uint64, ok bool) {
	v, err := strconv.ParseUint(string(digits), base, 64)
	return v, err == nil
}

// hexAddrPort reads "0100007F:0035": words of four bytes as the machine has them, which is little-endian wherever
// this program runs.
func hexAddrPort(text []byte) (at netip.AddrPort, ok bool) {
	addr, digits, _ := bytes.Cut(text, []byte(":"))
	port, err := strconv.ParseUint(string(digits), 16, 16)
	if err != nil || len(addr) != 8 && len(addr) != 32 {
		return at, false
	}
	var raw [16]byte
	for i := 0; i < len(addr); i += 8 {
		v, err := strconv.ParseUint(string(addr[i:i+8]), 16, 32)
		if err != nil {
			return at, false
		}
		binary.LittleEndian.PutUint32(raw[i/2:], uint32(v))
	}
	ip := netip.AddrFrom16(raw)
	if len(addr) == 8 {
		ip = netip.AddrFrom4([4]byte(raw[:4]))
	}
	return netip.AddrPortFrom(ip, uint16(port)), true
}
