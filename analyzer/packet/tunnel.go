package packet

import "encoding/binary"

// Tunnels are decoded here and not by gopacket's layers: captures of headers end inside packets, and
// gopacket 1.1.19 panics on a cut GRE or Geneve header and allocates for every option.

// UDP ports of tunnels (IANA), the port that Linux used for VXLAN before it had one, and WireGuard's
// (wg(8): 51820 in every example, and never changed by most).
const (
	portVXLAN      = 4789
	portVXLANLinux = 8472
	portGeneve     = 6081
	portGTPU       = 2152
	portGREUDP     = 4754
	portWireGuard  = 51820
	portESPUDP     = 4500
	portL2TP       = 1701
)

// etherBridged is the protocol of Ethernet inside GRE and Geneve (RFC 1701, RFC 8926), the others that of a switch's mirror in GRE
// (draft-foschiano-erspan).
const (
	etherBridged = 0x6558
	etherERSPAN  = 0x88be // types I and II
	etherERSPAN3 = 0x22eb
)

// Protocols of PPP (IANA).
const (
	pppIPv4 = 0x0021
	pppIPv6 = 0x0057
)

// maxTunnels bounds nested tunnels; more come from hostile files.
const maxTunnels = 4

// inside decodes a packet inside a tunnel in place of the one that carried it. When the inner one
// turns out to be unknown or cut, the outer one stands, and says what it is that hides it.
func (d *decoder) inside(p *Packet, in Opaque, kind uint16, data []byte) {
	p.Opaque = in
	if d.depth == maxTunnels || len(data) == 0 {
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
		d.inside(p, InIPIP, etherIPv4, data)
	case protoIPv6: // RFC 4213
		d.inside(p, InIPIP, etherIPv6, data)
	case protoGRE:
		d.gre(p, InGRE, data)
	case protoESP:
		p.Opaque = InESP
	case protoL2TP:
		p.Opaque = InL2TP
	}
}

// gre decodes generic routing encapsulation, version 0 (RFC 2784, RFC 2890). Source routes
// (RFC 1701) and PPTP's version 1 stay as they are.
func (d *decoder) gre(p *Packet, in Opaque, data []byte) {
	p.Opaque = in
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
	kind := binary.BigEndian.Uint16(data[2:])
	switch {
	case kind == etherERSPAN3 && len(data) > size+11:
		size, kind = size+12+8*int(data[size+11]&1), etherBridged // the last bit says that a subheader follows
	case kind == etherERSPAN && flags&0x1000 != 0:
		size, kind = size+8, etherBridged
	case kind == etherERSPAN: // type I has neither a sequence number nor a header
		kind = etherBridged
	}
	d.inside(p, in, kind, data[min(size, len(data)):])
}

// tunnelUDP decodes what a UDP packet carries, if its port says that it is a tunnel. Where headers alone
// were captured the port is all there is; otherwise the first bytes must agree.
func (d *decoder) tunnelUDP(p *Packet, data []byte) {
	switch p.DstPort {
	case portVXLAN, portVXLANLinux: // RFC 7348: the flag says that the network identifier is valid
		if len(data) > 0 && data[0]&0x08 != 0 {
			d.inside(p, InVXLAN, etherBridged, data[min(8, len(data)):])
		}
	case portGeneve: // RFC 8926: version 0
		if len(data) < 8 || data[0]>>6 != 0 {
			return
		}
		d.inside(p, InGeneve, binary.BigEndian.Uint16(data[2:]), data[min(8+4*int(data[0]&0x3f), len(data)):])
	case portGTPU:
		d.gtpu(p, data)
	case portGREUDP:
		d.gre(p, InGREUDP, data)
	default:
		p.Opaque = p.encrypted(data)
	}
}

// gtpu decodes a packet of a mobile network's user (3GPP TS 29.281 §5): version 1, G-PDU. Other messages
// are the tunnel's own.
func (d *decoder) gtpu(p *Packet, data []byte) {
	const version1, userData, anyOptional, extended = 0x30, 255, 0x07, 0x04
	if len(data) < 8 || data[0]&0xf0 != version1 || data[1] != userData {
		return
	}
	p.Opaque = InGTPU
	flags, rest := data[0], data[8:]
	if flags&anyOptional != 0 {
		if len(rest) < 4 {
			return
		}
		// Sequence number and N-PDU number, then the first extension header's type.
		next := rest[3]
		rest = rest[4:]
		if flags&extended == 0 {
			next = 0
		}
		for n := 0; next != 0; n++ {
			// Each counts its length in units of four bytes and ends with the type of the next.
			if len(rest) == 0 || rest[0] == 0 || len(rest) < 4*int(rest[0]) || n == maxExtensions {
				return
			}
			size := 4 * int(rest[0])
			next, rest = rest[size-1], rest[size:]
		}
	}
	d.insideIP(p, InGTPU, rest)
}

// encrypted says what a UDP packet hides that nobody without its keys can read.
func (p *Packet) encrypted(data []byte) Opaque {
	either := func(port uint16) bool { return p.SrcPort == port || p.DstPort == port }
	whole := len(data) >= 4
	var first uint32
	if whole {
		first = binary.BigEndian.Uint32(data)
	}
	switch {
	case either(portWireGuard):
		// Messages of types 1 to 4, then three reserved bytes of zero.
		if kind := first >> 24; !whole || first&0xffffff == 0 && kind >= 1 && kind <= 4 {
			return InWireGuard
		}
	case either(portESPUDP):
		// RFC 3948 §2: a security parameter index, which is not zero; zero is IKE, one byte a keep-alive.
		if !whole && p.Payload >= 4 || first != 0 {
			return InESPUDP
		}
	case either(portL2TP):
		// RFC 2661 §3.1: the first bit is the control messages'.
		if !whole && p.Payload >= 4 || whole && first>>31 == 0 {
			return InL2TP
		}
	}
	return Clear
}

// insideIP decodes an IP packet inside a tunnel that does not name its version.
func (d *decoder) insideIP(p *Packet, in Opaque, data []byte) {
	p.Opaque = in
	if len(data) == 0 {
		return
	}
	switch data[0] >> 4 {
	case 4:
		d.inside(p, in, etherIPv4, data)
	case 6:
		d.inside(p, in, etherIPv6, data)
	}
}

// tunnelEther decodes what an EtherType carries, if it is a tunnel.
func (d *decoder) tunnelEther(p *Packet, data []byte) {
	switch p.EtherType {
	case etherPPPoE:
		d.pppoe(p, data)
	case etherMPLS:
		d.mpls(p, data)
	case etherMACsec:
		p.Opaque = InMACsec
	}
}

// pppoe decodes a PPPoE session packet (RFC 2516) with IP inside.
func (d *decoder) pppoe(p *Packet, data []byte) {
	if len(data) < 9 {
		return
	}
	switch kind := binary.BigEndian.Uint16(data[6:]); {
	case kind == pppIPv4:
		d.inside(p, InPPPoE, etherIPv4, data[8:])
	case kind == pppIPv6:
		d.inside(p, InPPPoE, etherIPv6, data[8:])
	case kind < 0x8000: // RFC 1661 §2: above are control protocols
		p.Opaque = InPPPoE
	}
}

// mpls decodes a label stack (RFC 3032). What is below it is not named: the IP version tells.
func (d *decoder) mpls(p *Packet, data []byte) {
	p.Opaque = InMPLS
	for len(data) > 4 {
		bottom := data[2]&1 != 0
		data = data[4:]
		if bottom {
			d.insideIP(p, InMPLS, data)
			return
		}
	}
}
