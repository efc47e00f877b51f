package packet

import "encoding/binary"

// Tunnels are decoded here and not by gopacket's layers: captures of headers end inside packets, and
// gopacket 1.1.19 panics on a cut GRE or Geneve header and allocates for every option.

// UDP ports of tunnels (IANA), and the port that Linux used for VXLAN before it had one.
const (
	portVXLAN      = 4789
	portVXLANLinux = 8472
	portGeneve     = 6081
)

// etherBridged is the protocol of Ethernet inside GRE and Geneve (RFC 1701, RFC 8926).
const etherBridged = 0x6558

// maxTunnels bounds nested tunnels; more come from hostile files.
const maxTunnels = 4

// inside decodes a packet inside a tunnel in place of the one that carried it. When the inner one
// turns out to be unknown or cut, the outer one stands.
func (d *decoder) inside(p *Packet, kind uint16, data []byte) {
	if d.depth == maxTunnels {
		return
	}
	// A tunnel's packet is two; a flow is told by the inner addresses, as Wireshark does it.
	outer := *p
	*p = Packet{
		Time: p.Time, Frame: p.Frame, Input: p.Input, Interface: p.Interface, Dir: p.Dir,
		CapLen: p.CapLen, WireLen: p.WireLen, VLAN: p.VLAN, Tunnel: true,
	}
	d.depth++
	if kind == etherBridged {
		d.ethernet(p, data)
	} else {
		d.ether(p, kind, data)
	}
	d.depth--
	p.VLAN = outer.VLAN
	switch p.Kind {
	case TCP, UDP, ICMP, ICMPv6, ARP, OtherIP, Fragment:
	default:
		*p = outer
	}
}

// tunnelIP decodes what an IP protocol other than TCP, UDP and ICMP carries, if it is a tunnel.
func (d *decoder) tunnelIP(p *Packet, data []byte) {
	switch p.Proto {
	case protoIPIP: // RFC 2003
		d.inside(p, etherIPv4, data)
	case protoIPv6: // RFC 4213
		d.inside(p, etherIPv6, data)
	case protoGRE:
		d.gre(p, data)
	}
}

// gre decodes generic routing encapsulation, version 0 (RFC 2784, RFC 2890). Source routes
// (RFC 1701) and PPTP's version 1 stay as they are.
func (d *decoder) gre(p *Packet, data []byte) {
	if len(data) < 4 {
		return
	}
	flags := binary.BigEndian.Uint16(data)
	if flags&0x4007 != 0 {
		return
	}
	size := 4
	for _, bit := range [...]uint16{0x8000, 0x2000, 0x1000} { // checksum, key, sequence number
		if flags&bit != 0 {
			size += 4
		}
	}
	if len(data) > size {
		d.inside(p, binary.BigEndian.Uint16(data[2:]), data[size:])
	}
}

// tunnelUDP decodes what a UDP packet carries, if its port says that it is a tunnel.
func (d *decoder) tunnelUDP(p *Packet, data []byte) {
	switch p.DstPort {
	case portVXLAN, portVXLANLinux: // RFC 7348: the flag says that the network identifier is valid
		if len(data) > 8 && data[0]&0x08 != 0 {
			d.inside(p, etherBridged, data[8:])
		}
	case portGeneve: // RFC 8926: version 0
		if len(data) < 8 || data[0]>>6 != 0 {
			return
		}
		if size := 8 + 4*int(data[0]&0x3f); len(data) > size {
			d.inside(p, binary.BigEndian.Uint16(data[2:]), data[size:])
		}
	}
}

// tunnelEther decodes what an EtherType carries, if it is a tunnel.
func (d *decoder) tunnelEther(p *Packet, data []byte) {
	switch p.EtherType {
	case etherPPPoE:
		d.pppoe(p, data)
	case etherMPLS:
		d.mpls(p, data)
	}
}

// pppoe decodes a PPPoE session packet (RFC 2516) with IP inside.
func (d *decoder) pppoe(p *Packet, data []byte) {
	if len(data) < 9 {
		return
	}
	switch binary.BigEndian.Uint16(data[6:]) {
	case 0x0021:
		d.inside(p, etherIPv4, data[8:])
	case 0x0057:
		d.inside(p, etherIPv6, data[8:])
	}
}

// mpls decodes a label stack (RFC 3032). What is below it is not named: the IP version tells.
func (d *decoder) mpls(p *Packet, data []byte) {
	for len(data) > 4 {
		bottom := data[2]&1 != 0
		data = data[4:]
		if !bottom {
			continue
		}
		switch data[0] >> 4 {
		case 4:
			d.inside(p, etherIPv4, data)
		case 6:
			d.inside(p, etherIPv6, data)
		}
		return
	}
}
