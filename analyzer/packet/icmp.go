package packet

import "encoding/binary"

// ICMP types (RFC 792) and ICMPv6 types (RFC 4443) that are understood.
const (
	EchoReply4   = 0
	Unreachable4 = 3
	EchoRequest4 = 8
	EchoRequest6 = 128
	EchoReply6   = 129
)

// quoting are the ICMP types that quote the packet they complain about: unreachable, source quench,
// redirect, time exceeded, parameter problem.
const quoting = 1<<3 | 1<<4 | 1<<5 | 1<<11 | 1<<12

// icmp decodes an ICMP message of IPv4.
func (p *Packet) icmp(data []byte, length int) {
	if !p.message(ICMP, data, length) {
		return
	}
	switch kind := p.ICMPType; {
	case kind == EchoRequest4 || kind == EchoReply4:
		p.echo(data)
	case kind < 32 && quoting>>kind&1 != 0:
		p.Quoted.ipv4(data[8:])
	}
}

// icmpv6 decodes an ICMP message of IPv6.
func (p *Packet) icmpv6(data []byte, length int) {
	if !p.message(ICMPv6, data, length) {
		return
	}
	switch kind := p.ICMPType; {
	case kind == EchoRequest6 || kind == EchoReply6:
		p.echo(data)
	case kind >= 1 && kind <= 4: // RFC 4443 §3: the error messages
		p.Quoted.ipv6(data[8:])
	}
}

// message decodes the fields that all messages share and reports whether they are whole.
func (p *Packet) message(kind Kind, data []byte, length int) bool {
	if len(data) < 8 {
		p.Kind = ShortPayload
		return false
	}
	p.Kind = kind
	p.ICMPType, p.ICMPCode = data[0], data[1]
	p.Payload = uint32(max(length-8, 0))
	return true
}

// echo decodes the identifier and number of an echo request or reply.
func (p *Packet) echo(data []byte) {
	p.ICMPID = binary.BigEndian.Uint16(data[4:])
	p.ICMPSeq = binary.BigEndian.Uint16(data[6:])
}

// ipv4 decodes a quoted IPv4 header with the first eight bytes of its payload.
func (q *Quoted) ipv4(data []byte) {
	if len(data) < 20 || data[0]>>4 != 4 {
		return
	}
	header := int(data[0]&0x0f) * 4
	if header < 20 || len(data) < header {
		return
	}
	copy(q.Src[:4], data[12:16])
	copy(q.Dst[:4], data[16:20])
	q.transport(data[9], data[header:])
}

// ipv6 decodes a quoted IPv6 header. A quote with extension headers has addresses only.
func (q *Quoted) ipv6(data []byte) {
	if len(data) < 40 || data[0]>>4 != 6 {
		return
	}
	copy(q.Src[:], data[8:24])
	copy(q.Dst[:], data[24:40])
	q.transport(data[6], data[40:])
}

// transport decodes the ports, and the sequence number of TCP.
func (q *Quoted) transport(proto uint8, data []byte) {
	q.Proto = proto
	if proto != protoTCP && proto != protoUDP || len(data) < 4 {
		return
	}
	q.SrcPort = binary.BigEndian.Uint16(data)
	q.DstPort = binary.BigEndian.Uint16(data[2:])
	if proto == protoTCP && len(data) >= 8 {
		q.Seq = binary.BigEndian.Uint32(data[4:])
	}
}
