package packet

import "encoding/binary"

// TCP option kinds (IANA).
const (
	optionEnd       = 0
	optionNop       = 1
	optionMSS       = 2
	optionWScale    = 3
	optionSACKOK    = 4
	optionSACK      = 5
	optionTimestamp = 8
	optionMPTCP     = 30
	optionTFO       = 34
	optionTFOOld    = 254 // the experimental kind with magic 0xf989 (RFC 7413 §4.1.1)
)

// onlyTimestamps begins the options of nearly every segment: NOP, NOP, timestamps of 10 bytes
// (RFC 7323 appendix A).
const onlyTimestamps = optionNop<<24 | optionNop<<16 | optionTimestamp<<8 | 10

// tcp decodes a TCP header (RFC 9293 §3.1): data is what was captured of the segment, length what
// was on the wire.
func (p *Packet) tcp(data []byte, length int) {
	if len(data) < 20 {
		p.Kind = ShortTCP
		if len(data) >= 4 {
			p.SrcPort = binary.BigEndian.Uint16(data)
			p.DstPort = binary.BigEndian.Uint16(data[2:])
		}
		return
	}
	p.SrcPort = binary.BigEndian.Uint16(data)
	p.DstPort = binary.BigEndian.Uint16(data[2:])
	p.Seq = binary.BigEndian.Uint32(data[4:])
	p.Ack = binary.BigEndian.Uint32(data[8:])
	p.Flags = Flags(data[13])
	p.Window = binary.BigEndian.Uint16(data[14:])
	// The payload follows from the length on the wire: a recorder keeps no more than the header.
	header := int(data[12]>>4) * 4
	if header < 20 || header > length {
		p.Kind = BadTCP
		return
	}
	p.Kind = TCP
	p.HeaderLen = uint8(header)
	p.Payload = uint32(length - header)
	if header > 20 {
		p.options(data[20:min(header, len(data))], header-20)
	}
}

// options decodes the TCP options: list is what was captured of length bytes.
func (p *Packet) options(list []byte, length int) {
	if len(list) >= 12 && binary.BigEndian.Uint32(list) == onlyTimestamps {
		p.TSval = binary.BigEndian.Uint32(list[4:])
		p.TSecr = binary.BigEndian.Uint32(list[8:])
		p.Opts |= OptTS
		list, length = list[12:], length-12
	}
	if len(list) < length {
		p.Opts |= OptTruncated
	}
	// What remains is what SYNs carry, SACK blocks, and oddities.
	for len(list) > 0 {
		kind := list[0]
		if kind == optionEnd {
			return
		}
		if kind == optionNop {
			list = list[1:]
			continue
		}
		if len(list) < 2 || list[1] < 2 || int(list[1]) > len(list) {
			p.Opts |= OptTruncated
			return
		}
		p.option(kind, list[2:list[1]])
		list = list[list[1]:]
	}
}

// option decodes one TCP option. One of a wrong length is ignored, as the kernel does
// (tcp_parse_options).
func (p *Packet) option(kind uint8, value []byte) {
	switch {
	case kind == optionMSS && len(value) == 2:
		p.MSS = binary.BigEndian.Uint16(value)
		p.Opts |= OptMSS
	case kind == optionWScale && len(value) == 1:
		p.WScale = min(value[0], 14) // RFC 7323 §2.3: a larger shift counts as 14
		p.Opts |= OptWScale
	case kind == optionSACKOK && len(value) == 0:
		p.Opts |= OptSACKOK
	case kind == optionTimestamp && len(value) == 8:
		p.TSval = binary.BigEndian.Uint32(value)
		p.TSecr = binary.BigEndian.Uint32(value[4:])
		p.Opts |= OptTS
	case kind == optionSACK && len(value)%8 == 0:
		p.NSACK = 0
		for ; len(value) >= 8 && int(p.NSACK) < len(p.SACKs); value = value[8:] {
			p.SACKs[p.NSACK] = SACK{binary.BigEndian.Uint32(value), binary.BigEndian.Uint32(value[4:])}
			p.NSACK++
		}
	case kind == optionMPTCP:
		p.Opts |= OptMPTCP
	case kind == optionTFO:
		p.Opts |= OptTFO
	case kind == optionTFOOld && len(value) >= 2 && binary.BigEndian.Uint16(value) == 0xf989:
		p.Opts |= OptTFO
	}
}
