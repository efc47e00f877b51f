package packet

import "encoding/binary"

// Link types of the pcap registry (draft-ietf-opsawg-pcaplinktype).
const (
	linkNull     = 0
	linkEthernet = 1
	linkPPP      = 9
	linkRawBSD   = 12 // DLT_RAW where it was not mapped to 101
	linkRawOBSD  = 14
	linkRaw      = 101
	linkLoop     = 108
	linkSLL      = 113
	linkIPv4     = 228
	linkIPv6     = 229
	linkSLL2     = 276
)

// EtherTypes (IEEE 802 numbers, IANA).
const (
	etherIPv4   = 0x0800
	etherARP    = 0x0806
	etherVLAN   = 0x8100 // IEEE 802.1Q
	etherQinQ   = 0x88a8 // IEEE 802.1ad
	etherQinQ9  = 0x9100 // the same before it was standardised
	etherIPv6   = 0x86dd
	etherMPLS   = 0x8847
	etherPPPoE  = 0x8864
	etherMACsec = 0x88e5
	minimumType = 0x0600 // a smaller number is the length of an IEEE 802.3 frame
)

// maxTags bounds the VLAN tags of one frame: two are usual, more come from hostile files.
const maxTags = 8

// Packet types of Linux cooked captures (LINKTYPE_LINUX_SLL) and sockaddr_ll.
const packetOutgoing = 4

// decoder turns captured bytes into a Packet. It keeps what it needs between packets, so that
// decoding allocates nothing.
type decoder struct {
	depth int // tunnels around the header that is being decoded
}

// decode fills p, which has its CapLen and WireLen, from data on a link of the given type.
func (d *decoder) decode(p *Packet, link uint32, data []byte) {
	switch link {
	case linkEthernet:
		d.ethernet(p, data)
	case linkSLL:
		d.cooked(p, data)
	case linkSLL2:
		d.cooked2(p, data)
	case linkRaw, linkRawBSD, linkRawOBSD, linkIPv4, linkIPv6:
		d.raw(p, data)
	case linkPPP:
		d.ppp(p, data)
	case linkNull, linkLoop:
		d.loopback(p, data)
	default:
		p.Kind = Unknown
	}
}

// ethernet decodes an Ethernet frame.
func (d *decoder) ethernet(p *Packet, data []byte) {
	if len(data) < 14 {
		p.Kind = ShortLink
		return
	}
	d.ether(p, binary.BigEndian.Uint16(data[12:]), data[14:])
}

// ether decodes what follows an EtherType, VLAN tags first.
func (d *decoder) ether(p *Packet, kind uint16, data []byte) {
	for tags := 0; kind == etherVLAN || kind == etherQinQ || kind == etherQinQ9; tags++ {
		if len(data) < 4 || tags == maxTags {
			p.Kind, p.EtherType = ShortLink, kind
			return
		}
		if tags == 0 {
			p.VLAN = binary.BigEndian.Uint16(data) & 0x0fff
		}
		kind = binary.BigEndian.Uint16(data[2:])
		data = data[4:]
	}
	// The type behind the tags: what the packet is, not how it was carried.
	p.EtherType = kind
	switch kind {
	case etherIPv4:
		d.ipv4(p, data)
	case etherIPv6:
		d.ipv6(p, data)
	case etherARP:
		p.Kind = ARP
		p.arp(data)
	case etherMPLS, etherPPPoE, etherMACsec:
		p.Kind = OtherEther
		d.tunnelEther(p, data)
	default:
		if kind < minimumType {
			p.EtherType = 0
		}
		p.Kind = OtherEther
	}
}

// arp takes the addresses of ARP for IPv4 over Ethernet (RFC 826); of other kinds, and of what was cut, none.
func (p *Packet) arp(data []byte) {
	const header, hardware, protocol = "\x00\x01\x08\x00\x06\x04", 6, 4
	if len(data) < 28 || string(data[:len(header)]) != header {
		return
	}
	p.Link = [hardware]byte(data[8:])
	copy(p.Src[:protocol], data[14:])
	copy(p.Dst[:protocol], data[24:])
}

// cooked decodes LINKTYPE_LINUX_SLL.
func (d *decoder) cooked(p *Packet, data []byte) {
	if len(data) < 16 {
		p.Kind = ShortLink
		return
	}
	p.cookedDir(binary.BigEndian.Uint16(data))
	d.ether(p, binary.BigEndian.Uint16(data[14:]), data[16:])
}

// cooked2 decodes LINKTYPE_LINUX_SLL2.
func (d *decoder) cooked2(p *Packet, data []byte) {
	if len(data) < 20 {
		p.Kind = ShortLink
		return
	}
	p.cookedDir(uint16(data[10]))
	d.ether(p, binary.BigEndian.Uint16(data), data[20:])
}

// cookedDir takes the direction from a cooked header, unless the file has told it.
func (p *Packet) cookedDir(kind uint16) {
	if p.Dir != DirUnknown {
		return
	}
	p.Dir = DirIn
	if kind == packetOutgoing {
		p.Dir = DirOut
	}
}

// raw decodes a packet that begins with its IP header.
func (d *decoder) raw(p *Packet, data []byte) {
	switch {
	case len(data) < 1:
		p.Kind = ShortLink
	case data[0]>>4 == 4:
		p.EtherType = etherIPv4
		d.ipv4(p, data)
	case data[0]>>4 == 6:
		p.EtherType = etherIPv6
		d.ipv6(p, data)
	default:
		p.Kind = BadIP
	}
}

// loopback decodes BSD loopback links: four bytes of address family, in the byte order of the host
// that captured (LINKTYPE_NULL) or the network's (LINKTYPE_LOOP). The IP version after it tells the
// same without guessing the order and the system's number of AF_INET6.
func (d *decoder) loopback(p *Packet, data []byte) {
	if len(data) < 5 {
		p.Kind = ShortLink
		return
	}
	family := max(data[0], data[3])
	if data[0] != 0 && data[3] != 0 || data[1] != 0 || data[2] != 0 || family > 30 {
		p.Kind = OtherEther
		return
	}
	d.raw(p, data[4:])
}

// ppp decodes LINKTYPE_PPP: the address and control bytes of HDLC, which may be left out (RFC 1661 §6.6), then the protocol.
func (d *decoder) ppp(p *Packet, data []byte) {
	if len(data) > 2 && data[0] == 0xff && data[1] == 0x03 {
		data = data[2:]
	}
	if len(data) < 2 {
		p.Kind = ShortLink
		return
	}
	switch binary.BigEndian.Uint16(data) {
	case pppIPv4, pppIPv6:
		d.raw(p, data[2:])
	default:
		p.Kind = OtherEther
	}
}
