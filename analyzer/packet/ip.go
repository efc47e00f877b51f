package packet

import "encoding/binary"

// IP protocol numbers (IANA).
const (
	protoHopByHop = 0
	protoICMP     = 1
	protoIPIP     = 4
	protoTCP      = 6
	protoUDP      = 17
	protoIPv6     = 41
	protoRouting  = 43
	protoFragment = 44
	protoGRE      = 47
	protoESP      = 50
	protoAH       = 51
	protoICMPv6   = 58
	protoDestOpts = 60
	protoL2TP     = 115
	protoMobility = 135
)

// maxExtensions bounds the IPv6 extension headers of one packet. RFC 8200 §4.1 has seven; more come
// from hostile files.
const maxExtensions = 16

// ipv4 decodes an IPv4 header (RFC 791) and what follows.
func (d *decoder) ipv4(p *Packet, data []byte) {
	if len(data) < 20 {
		p.Kind = ShortIP
		return
	}
	header := int(data[0]&0x0f) * 4
	if data[0]>>4 != 4 || header < 20 {
		p.Kind = BadIP
		return
	}
	// Addresses and protocol are kept even when what follows is cut: they are often all that an error
	// leaves to go by.
	p.V6 = false
	p.ECN, p.TTL, p.Proto = data[1]&3, data[8], data[9]
	p.IPID = binary.BigEndian.Uint16(data[4:])
	p.Src, p.Dst = Addr{}, Addr{}
	copy(p.Src[:4], data[12:16])
	copy(p.Dst[:4], data[16:20])
	total := int(binary.BigEndian.Uint16(data[2:]))
	if total == 0 {
		// Segmentation offload: the NIC would have filled it in (BIG TCP, Linux 6.3).
		total = p.onWire(data)
	}
	fragment := binary.BigEndian.Uint16(data[6:])
	switch {
	case total < header:
		p.Kind = BadIP
	case fragment&0x1fff != 0:
		p.Kind = Fragment
	case len(data) < header:
		p.Kind = ShortIP
	default:
		p.More = fragment&0x2000 != 0
		d.transport(p, p.Proto, data[header:min(total, len(data))], total-header)
	}
}

// onWire returns how many bytes data, the captured rest of the packet, had on the wire.
func (p *Packet) onWire(data []byte) int {
	return len(data) + int(p.WireLen-p.CapLen)
}

// ipv6 decodes an IPv6 header (RFC 8200), its extension headers and what follows.
func (d *decoder) ipv6(p *Packet, data []byte) {
	if len(data) < 40 {
		p.Kind = ShortIP
		return
	}
	if data[0]>>4 != 6 {
		p.Kind = BadIP
		return
	}
	p.V6, p.IPID = true, 0
	p.ECN, p.TTL = data[1]>>4&3, data[7]
	copy(p.Src[:], data[8:24])
	copy(p.Dst[:], data[24:40])
	length := int(binary.BigEndian.Uint16(data[4:]))
	next := data[6]
	data = data[40:]
	if length == 0 {
		// A jumbogram (RFC 2675), which is also what BIG TCP looks like.
		length = p.onWire(data)
	}
	if next != protoTCP {
		var ok bool
		if next, data, length, ok = p.extensions(next, data, length); !ok {
			return
		}
	}
	p.Proto = next
	d.transport(p, next, data[:min(length, len(data))], length)
}

// extensions walks the IPv6 extension headers and returns the transport protocol, its bytes and
// their length on the wire. When it does not reach a transport header, it sets p.Kind and ok is
// false.
func (p *Packet) extensions(next uint8, data []byte, length int) (_ uint8, _ []byte, _ int, ok bool) {
	for range maxExtensions {
		// All but two count their length in units of 8 bytes beyond the first (RFC 8200 §4).
		size := 0
		switch next {
		case protoHopByHop, protoRouting, protoDestOpts, protoMobility, protoAH, protoFragment:
			if len(data) < 8 {
				p.Proto, p.Kind = next, ShortIP
				return next, nil, 0, false
			}
			size = 8 * (int(data[1]) + 1)
		default:
			return next, data, length, true
		}
		switch next {
		case protoAH: // RFC 4302 counts in units of 4 bytes, less 2
			size = 4 * (int(data[1]) + 2)
		case protoFragment:
			size = 8
			field := binary.BigEndian.Uint16(data[2:])
			p.More = field&1 != 0
			if field&^7 != 0 {
				p.Proto, p.Kind = data[0], Fragment
				return next, nil, 0, false
			}
		}
		if size > length {
			break
		}
		next = data[0]
		data = data[min(size, len(data)):]
		length -= size
	}
	p.Proto, p.Kind = next, BadIP
	return next, nil, 0, false
}

// transport decodes the payload of an IP packet: data is what was captured of it, length what was
// on the wire.
func (d *decoder) transport(p *Packet, proto uint8, data []byte, length int) {
	switch proto {
	case protoTCP:
		p.tcp(data, length)
	case protoUDP:
		d.udp(p, data, length)
	case protoICMP:
		p.icmp(data, length)
	case protoICMPv6:
		p.icmpv6(data, length)
	case protoAH:
		d.authentication(p, data, length)
	default:
		p.Kind = OtherIP
		d.tunnelIP(p, data)
	}
}

// authentication decodes what follows an authentication header (RFC 4302) over IPv4; over IPv6 it is one
// of the extension headers. It is as readable as without.
func (d *decoder) authentication(p *Packet, data []byte, length int) {
	if len(data) < 12 {
		p.Kind = ShortIP
		return
	}
	size := 4 * (int(data[1]) + 2)
	switch {
	case size < 12 || size > length:
		p.Kind = BadIP
	case d.depth == maxTunnels:
		p.Kind, p.Opaque = OtherIP, InAH
	default:
		p.Proto = data[0]
		d.depth++
		d.transport(p, p.Proto, data[min(size, len(data)):], length-size)
		d.depth--
	}
}

// udp decodes a UDP header (RFC 768), and what a tunnel over UDP carries.
func (d *decoder) udp(p *Packet, data []byte, length int) {
	if len(data) < 8 {
		p.Kind = ShortPayload
		return
	}
	p.Kind = UDP
	p.SrcPort = binary.BigEndian.Uint16(data)
	p.DstPort = binary.BigEndian.Uint16(data[2:])
	p.Payload = uint32(max(length-8, 0))
	d.tunnelUDP(p, data[8:])
}
