package pack

import (
	"bytes"
	"encoding/binary"
)

// Link is what packets begin with.
type Link uint8

// The link headers that are known.
const (
	Ethernet Link = iota
	RawIP
)

const (
	protoTCP = 6
	protoUDP = 17
	// longest is the longest header that is predicted: Ethernet with a tag, IPv6, TCP with all options.
	longest = 14 + 4 + 40 + 60
)

// layout is where in a packet its headers are, and of which kind.
type layout struct {
	ip, l4, end int // offsets: of the IP header, of the transport's, and behind that
	v6, tcp     bool
}

// header is what of a packet's headers changes from one to the next of its direction.
type header struct {
	payload          uint32 // bytes behind the headers, by the IP header's length
	seq, ack         uint32
	tsval, tsecr     uint32
	flags            byte // byte 13 of the TCP header
	window           uint16
	id               uint16 // IPv4 identification
	checksum         uint16 // of TCP or UDP
	options          []byte
	stamps           int // where in the options the timestamps are, -1: nowhere
	ipChecksumBroken bool
}

// parse finds the headers of a packet of which nothing but them was captured: Ethernet with one tag at
// most, IPv4 without options and fragments or IPv6 without extension headers, TCP or UDP. ok is false for
// everything else.
func parse(b []byte, link Link) (l layout, ok bool) {
	kind := uint16(0)
	switch {
	case link == RawIP && len(b) > 0 && b[0]>>4 == 4:
		kind = 0x0800
	case link == RawIP && len(b) > 0:
		kind = 0x86dd
	case len(b) < 18:
		return l, false
	default:
		l.ip, kind = 14, binary.BigEndian.Uint16(b[12:])
		if kind == 0x8100 {
			l.ip, kind = 18, binary.BigEndian.Uint16(b[16:])
		}
	}
	proto := byte(0)
	switch ip := b[l.ip:]; {
	case kind == 0x0800 && len(ip) >= 20 && ip[0] == 0x45 && binary.BigEndian.Uint16(ip[6:])&0x3fff == 0:
		l.l4, proto = l.ip+20, ip[9]
	case kind == 0x86dd && len(ip) >= 40 && ip[0]>>4 == 6:
		l.l4, proto, l.v6 = l.ip+40, ip[6], true
	default:
		return l, false
	}
	switch t := b[l.l4:]; {
	case proto == protoTCP && len(t) >= 20:
		l.tcp, l.end = true, l.l4+int(t[12]>>4)*4
	case proto == protoUDP && len(t) == 8:
		l.end = l.l4 + 8
	default:
		return l, false
	}
	if l.end != len(b) || l.end < l.l4+8 || l.tcp && l.end < l.l4+20 {
		return l, false
	}
	n := l.length(b)
	if n < l.end-l.ip || !l.tcp && int(binary.BigEndian.Uint16(b[l.l4+4:])) != n-(l.l4-l.ip) {
		return l, false
	}
	return l, true
}

// length is that of the IP packet with its header.
func (l *layout) length(b []byte) int {
	if l.v6 {
		return 40 + int(binary.BigEndian.Uint16(b[l.ip+4:]))
	}
	return int(binary.BigEndian.Uint16(b[l.ip+2:]))
}

// addresses are both addresses, source first, and ports both ports.
func (l *layout) addresses(b []byte) []byte {
	if l.v6 {
		return b[l.ip+8 : l.ip+40]
	}
	return b[l.ip+12 : l.ip+20]
}

func (l *layout) ports(b []byte) []byte { return b[l.l4 : l.l4+4] }

// read takes out of a packet what changes.
func (l *layout) read(b []byte, h *header) {
	*h = header{payload: uint32(l.length(b) - (l.end - l.ip)), stamps: -1}
	if !l.v6 {
		h.id = binary.BigEndian.Uint16(b[l.ip+4:])
		h.ipChecksumBroken = ipChecksum(b[l.ip:l.l4]) != binary.BigEndian.Uint16(b[l.ip+10:])
	}
	t := b[l.l4:]
	if !l.tcp {
		h.checksum = binary.BigEndian.Uint16(t[6:])
		return
	}
	h.seq, h.ack = binary.BigEndian.Uint32(t[4:]), binary.BigEndian.Uint32(t[8:])
	h.flags, h.window, h.checksum = t[13], binary.BigEndian.Uint16(t[14:]), binary.BigEndian.Uint16(t[16:])
	h.options = t[20 : l.end-l.l4]
	h.stamp()
}

// stamp finds the timestamps in the options.
func (h *header) stamp() {
	h.stamps, h.tsval, h.tsecr = stamps(h.options), 0, 0
	if at := h.stamps; at >= 0 {
		h.tsval, h.tsecr = binary.BigEndian.Uint32(h.options[at:]), binary.BigEndian.Uint32(h.options[at+4:])
	}
}

// stamps is where in the options the two timestamps are (RFC 7323 §3.2: kind 8, length 10), -1: nowhere. In nearly
// all segments of a connection that has agreed on them they are behind two NOPs (appendix A).
func stamps(options []byte) int {
	if len(options) >= 12 && options[0] == 1 && options[1] == 1 && options[2] == 8 && options[3] == 10 {
		return 4
	}
	for at := 0; at+1 < len(options); {
		switch kind, n := options[at], int(options[at+1]); {
		case kind == 0:
			return -1
		case kind == 1:
			at++
		case kind == 8 && n == 10 && at+10 <= len(options):
			return at + 2
		case n < 2:
			return -1
		default:
			at += n
		}
	}
	return -1
}

// sameOptions says whether those of two headers differ in nothing but timestamps.
func (h *header) sameOptions(other *header) bool {
	a, b, at := h.options, other.options, h.stamps
	if at != other.stamps {
		return false
	}
	if at < 0 {
		return bytes.Equal(a, b)
	}
	return bytes.Equal(a[:at], b[:at]) && bytes.Equal(a[at+8:], b[at+8:])
}

// write puts what changes into a packet whose other bytes are there already.
func (l *layout) write(b []byte, h *header) {
	n := l.end - l.ip + int(h.payload)
	t := b[l.l4:]
	if l.tcp {
		binary.BigEndian.PutUint32(t[4:], h.seq)
		binary.BigEndian.PutUint32(t[8:], h.ack)
		t[12] = t[12]&0x0f | byte((l.end-l.l4)/4)<<4
		t[13] = h.flags
		binary.BigEndian.PutUint16(t[14:], h.window)
		binary.BigEndian.PutUint16(t[16:], h.checksum)
		copy(t[20:], h.options)
		if at := h.stamps; at >= 0 {
			binary.BigEndian.PutUint32(t[20+at:], h.tsval)
			binary.BigEndian.PutUint32(t[24+at:], h.tsecr)
		}
	} else {
		binary.BigEndian.PutUint16(t[4:], uint16(n-(l.l4-l.ip)))
		binary.BigEndian.PutUint16(t[6:], h.checksum)
	}
	if l.v6 {
		binary.BigEndian.PutUint16(b[l.ip+4:], uint16(n-40))
		return
	}
	binary.BigEndian.PutUint16(b[l.ip+2:], uint16(n))
	binary.BigEndian.PutUint16(b[l.ip+4:], h.id)
	binary.BigEndian.PutUint16(b[l.ip+10:], ipChecksum(b[l.ip:l.l4]))
}

// fixed says whether what does not change is the same in two packets of one layout: link header, IP header
// but for lengths, identification and checksum, reserved bits and urgent pointer of TCP.
func (l *layout) fixed(a, b []byte) bool {
	ip := l.ip
	same := bytes.Equal(a[:ip], b[:ip])
	if l.v6 {
		same = same && bytes.Equal(a[ip:ip+4], b[ip:ip+4]) && bytes.Equal(a[ip+6:l.l4+4], b[ip+6:l.l4+4])
	} else {
		same = same && a[ip+1] == b[ip+1] && bytes.Equal(a[ip+6:ip+10], b[ip+6:ip+10]) && bytes.Equal(a[ip+12:l.l4+4], b[ip+12:l.l4+4])
	}
	if l.tcp {
		t := l.l4
		same = same && a[t+12]&0x0f == b[t+12]&0x0f && a[t+18] == b[t+18] && a[t+19] == b[t+19]
	}
	return same
}

// ipChecksum is the right one for an IPv4 header (RFC 791 §3.1).
func ipChecksum(ip []byte) uint16 {
	return ^fold(sum(0, ip[:10]) + sum(0, ip[12:]))
}

// pseudo is the sum that the kernel leaves in a checksum which the device is to complete
// (CHECKSUM_PARTIAL, include/linux/skbuff.h): that of the pseudo header alone.
func (l *layout) pseudo(b []byte) uint16 {
	proto := uint64(protoUDP)
	if l.tcp {
		proto = protoTCP
	}
	return fold(sum(proto, l.addresses(b)) + uint64(l.length(b)-(l.l4-l.ip)))
}

// sum adds up 16-bit words.
func sum(s uint64, b []byte) uint64 {
	for ; len(b) >= 2; b = b[2:] {
		s += uint64(binary.BigEndian.Uint16(b))
	}
	return s
}

// fold brings a sum to 16 bits in one's complement.
func fold(s uint64) uint16 {
	for s>>16 != 0 {
		s = s&0xffff + s>>16
	}
	return uint16(s)
}
