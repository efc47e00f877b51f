package through

import "encoding/binary"

const (
	protocolTCP = 6
	protocolUDP = 17

	flagFIN, flagSYN, flagRST = 0x01, 0x02, 0x04
)

// segment is what a packet's headers say. Its ends are ordered, whoever sends: the service first.
type segment struct {
	tcp    bool
	key    uint64    // of connection and interface
	end    [2]uint64 // address and port, on this interface
	addr   [2]uint64
	sender int // 0: the first end

	flags   byte
	seq     uint32
	id      uint16 // IPv4's
	stamped bool
	stamp   uint32 // RFC 7323's TSval
	payload uint32
}

// parse reads a first or only fragment of TCP or UDP without extension headers, which is nearly all.
func (s *segment) parse(p *Packet, seed uint64) bool {
	b := p.IP
	if len(b) < 20 {
		return false
	}
	var from, to [2]uint64
	var protocol byte
	header, length := 0, 0
	switch b[0] >> 4 {
	case 4:
		header, length, protocol = int(b[0]&15)*4, int(binary.BigEndian.Uint16(b[2:])), b[9]
		if binary.BigEndian.Uint16(b[6:])&0x3fff != 0 { // a fragment: where it ends is not in this header
			return false
		}
		s.id = binary.BigEndian.Uint16(b[4:])
		from[0], to[0] = uint64(binary.NativeEndian.Uint32(b[12:])), uint64(binary.NativeEndian.Uint32(b[16:]))
	case 6:
		if len(b) < 40 {
			return false
		}
		header, protocol = 40, b[6]
		if length = int(binary.BigEndian.Uint16(b[4:])); length > 0 {
			length += header
		}
		from = [2]uint64{binary.NativeEndian.Uint64(b[8:]), binary.NativeEndian.Uint64(b[16:])}
		to = [2]uint64{binary.NativeEndian.Uint64(b[24:]), binary.NativeEndian.Uint64(b[32:])}
	default:
		return false
	}
	if length == 0 { // larger than the field can say (RFC 2675, and GSO's of more than 64 KiB)
		length = p.Wire
	}
	if header < 20 || len(b) < header+8 {
		return false
	}
	l4 := b[header:]
	s.ends(from, to, binary.BigEndian.Uint16(l4), binary.BigEndian.Uint16(l4[2:]), seed)
	s.key = mix(mix(mix(s.end[0], s.end[1]), uint64(p.Link)), uint64(protocol))
	switch protocol {
	case protocolTCP:
		return s.parseTCP(l4, length-header)
	case protocolUDP:
		return true
	}
	return false
}

// ends orders the two: a service has the lower port, as clients' are taken from 32768 on (Linux) or 49152 (RFC 6335).
func (s *segment) ends(from, to [2]uint64, fromPort, toPort uint16, seed uint64) {
	s.sender = 0
	if toPort < fromPort || toPort == fromPort && (to[0] < from[0] || to[0] == from[0] && to[1] < from[1]) {
		from, to, fromPort, toPort, s.sender = to, from, toPort, fromPort, 1
	}
	s.addr = [2]uint64{mix(mix(seed, from[0]), from[1]), mix(mix(seed, to[0]), to[1])}
	s.end = [2]uint64{mix(s.addr[0], uint64(fromPort)), mix(s.addr[1], uint64(toPort))}
}

// parseTCP reads a header of TCP in front of so many bytes, itself included.
func (s *segment) parseTCP(b []byte, length int) bool {
	if len(b) < 20 {
		return false
	}
	header := int(b[12]>>4) * 4
	if header < 20 || length < header {
		return false
	}
	s.tcp, s.flags, s.seq, s.payload = true, b[13], binary.BigEndian.Uint32(b[4:]), uint32(length-header)
	options := b[20:min(header, len(b))]
	for len(options) > 1 {
		switch options[0] {
		case 0:
			return true
		case 1:
			options = options[1:]
			continue
		case 8:
			if len(options) >= 10 {
				s.stamped, s.stamp = true, binary.BigEndian.Uint32(options[2:])
			}
			return true
		}
		n := int(options[1])
		if n < 2 || n > len(options) {
			return true
		}
		options = options[n:]
	}
	return true
}

// mix is a step of a hash.
func mix(h, v uint64) uint64 {
	h = (h ^ v) * 0x9e3779b97f4a7c15
	return h ^ h>>29
}
