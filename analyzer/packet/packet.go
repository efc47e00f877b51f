// Package packet reads capture files and decodes the headers of their packets.
//
// Inputs are pcapng and pcap in all their spellings (both byte orders, micro- and nanoseconds,
// several sections and interfaces), plain or compressed with gzip or zstd, from files, standard
// input or any io.Reader. [Open] yields packets in time order. The decoder allocates nothing for
// what it knows: Ethernet, VLAN and QinQ, Linux cooked captures, raw IP, loopback links, IPv4, IPv6
// with extension headers, TCP with options, UDP, ICMP with the header it quotes, and what GRE, VXLAN,
// Geneve, GTP-U, IP-in-IP, MPLS and PPPoE carry, behind authentication headers, too. What it does not
// know is counted by [Kind] and [Opaque], never dropped silently.
package packet

import "net/netip"

// Kind says what a packet turned out to be. Every packet has exactly one, so the counts by kind add
// up to the packets read.
type Kind uint8

// The kinds of packets. Only TCP, UDP, ICMP and ICMPv6 have ports, flags or identifiers.
const (
	Unknown      Kind = iota // a link type that no decoder here knows
	TCP                      // TCP with at least the first 20 bytes of its header
	UDP                      // UDP with its ports
	ICMP                     // ICMP over IPv4 (RFC 792)
	ICMPv6                   // ICMP over IPv6 (RFC 4443)
	ARP                      // address resolution
	OtherIP                  // another transport protocol; Proto has its number
	Fragment                 // a fragment that is not the first: it has no transport header
	OtherEther               // another EtherType or an LLC frame; EtherType has its number
	ShortLink                // the link header was cut by the snapshot length
	ShortIP                  // the IP header or its extension headers were cut
	ShortTCP                 // fewer than 20 bytes of a TCP header
	ShortPayload             // a UDP or ICMP header was cut
	BadIP                    // an IP header that contradicts itself
	BadTCP                   // a TCP data offset below 5 or beyond the segment
	kinds
)

// Dir is the way of a packet through the interface that captured it.
type Dir uint8

// The directions of pcapng's epb_flags (bits 0 and 1).
const (
	DirUnknown Dir = iota
	DirIn
	DirOut
)

// Flags are the control bits of a TCP header (RFC 9293 §3.1).
type Flags uint8

// The TCP control bits.
const (
	FIN Flags = 1 << iota
	SYN
	RST
	PSH
	ACK
	URG
	ECE
	CWR
)

// Has reports whether all bits of want are set.
func (f Flags) Has(want Flags) bool { return f&want == want }

// Opts says which TCP options a segment carried.
type Opts uint8

// The TCP options that are understood.
const (
	OptMSS       Opts = 1 << iota // maximum segment size: Packet.MSS (RFC 9293)
	OptWScale                     // window scale: Packet.WScale (RFC 7323)
	OptSACKOK                     // SACK permitted (RFC 2018)
	OptTS                         // timestamps: Packet.TSval and TSecr (RFC 7323)
	OptTFO                        // fast open cookie or its request (RFC 7413)
	OptMPTCP                      // multipath TCP (RFC 8684)
	OptTruncated                  // the options were cut or malformed: absence of one proves nothing
)

// Has reports whether all bits of want are set.
func (o Opts) Has(want Opts) bool { return o&want == want }

// Addr is an IP address in 16 bytes, an IPv4 one in the first four. Whether it is IPv4 or IPv6 is
// said by Packet.V6, so that an address costs no pointer and compares as plain bytes.
type Addr [16]byte

// Netip returns the address in the standard library's form.
func (a Addr) Netip(v6 bool) netip.Addr {
	if v6 {
		return netip.AddrFrom16(a)
	}
	return netip.AddrFrom4([4]byte(a[:4]))
}

// SACK is one block of a selective acknowledgement: bytes Left up to but excluding Right (RFC 2018).
type SACK struct{ Left, Right uint32 }

// Quoted is the header of the packet that an ICMP error complains about.
type Quoted struct {
	Src, Dst         Addr
	SrcPort, DstPort uint16
	Seq              uint32 // TCP sequence number, 0 when the quote ends before it
	Proto            uint8  // IP protocol number; 0 when nothing usable is quoted
}

// Packet is one decoded packet. It holds no reference to the captured bytes. Fields that do not
// belong to its Kind are zero.
type Packet struct {
	// The fields of the first 128 bytes are those that every packet's reader needs: two cache lines.

	Time  int64  // Unix time in ns
	Frame uint64 // number in its input, from 1, as Wireshark counts

	Src, Dst         Addr
	SrcPort, DstPort uint16

	Seq, Ack     uint32
	TSval, TSecr uint32
	Payload      uint32 // transport payload on the wire in bytes, whether captured or not
	Window       uint16 // unscaled
	MSS          uint16
	IPID         uint16 // IPv4 identification; 0 for IPv6

	Input     uint16 // index of the input that Frame counts in
	Interface uint16 // index into Source.Interfaces
	VLAN      uint16 // outermost VLAN identifier, 0 without a tag
	EtherType uint16

	Kind   Kind
	Dir    Dir
	V6     bool
	Tunnel bool // the addresses are those inside a tunnel
	More   bool // first fragment of a packet: the transport payload is that of this fragment
	Proto  uint8
	TTL    uint8
	ECN    uint8 // the two ECN bits (RFC 3168)

	Flags     Flags
	Opts      Opts
	WScale    uint8
	NSACK     uint8
	HeaderLen uint8 // TCP header with options, bytes

	ICMPType, ICMPCode uint8
	Opaque             Opaque  // inside what a packet is hidden that was not decoded
	ICMPID, ICMPSeq    uint16  // of echo requests and replies
	Link               [6]byte // ARP: the link address of the sender; Src and Dst are its own and the wanted address

	CapLen, WireLen uint32 // bytes captured and bytes on the wire, link header included

	SACKs  [4]SACK // the first NSACK are valid; a first block at or below Ack is a DSACK (RFC 2883)
	Quoted Quoted
}

// SrcAddrPort returns the source of a TCP or UDP packet.
func (p *Packet) SrcAddrPort() netip.AddrPort {
	return netip.AddrPortFrom(p.Src.Netip(p.V6), p.SrcPort)
}

// DstAddrPort returns the destination of a TCP or UDP packet.
func (p *Packet) DstAddrPort() netip.AddrPort {
	return netip.AddrPortFrom(p.Dst.Netip(p.V6), p.DstPort)
}

// SeqLen is the sequence space that a TCP segment takes: payload, SYN and FIN (RFC 9293 §3.4).
func (p *Packet) SeqLen() uint32 {
	n := p.Payload
	if p.Flags&SYN != 0 {
		n++
	}
	if p.Flags&FIN != 0 {
		n++
	}
	return n
}

// kindNames are the names of the kinds in JSON and tables.
var kindNames = [kinds]string{
	"unknown-link", "tcp", "udp", "icmp", "icmpv6", "arp", "other-ip", "fragment", "other-ethertype",
	"short-link", "short-ip", "short-tcp", "short-payload", "bad-ip", "bad-tcp",
}

// String returns the name of the kind as it is printed and encoded.
func (k Kind) String() string {
	if k < kinds {
		return kindNames[k]
	}
	return "invalid"
}
