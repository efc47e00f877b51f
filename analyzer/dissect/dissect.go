// Package dissect shows single packets: a line for each, made of gopacket's layers, and a capture file
// of some of them. It allocates for every packet: connections are followed by package flow.
package dissect

import (
	"encoding/binary"
	"fmt"
	"net"
	"net/netip"
	"strings"

	"github.com/google/gopacket"
	"github.com/google/gopacket/layers"

	"github.com/spikebox/spikebox/analyzer/packet"
)

// Link types that gopacket 1.1.19 does not know by this number (pcap registry): what "tcpdump -i any"
// writes since libpcap 1.10, and raw IP as OpenBSD numbers it.
const (
	linkSLL2   = 276
	linkRaw    = 101
	linkRawOld = 12
	sll2Header = 20
)

// Summary tells in one line what a packet is: its ends, then what the innermost protocol that can be read
// says, with what stands around it in front ("VLAN 7, VXLAN 12: …").
func Summary(rec *packet.Record, link uint32) string {
	var s summary
	for _, layer := range decode(rec.Data, link) {
		s.add(layer, rec)
	}
	if s.what == "" {
		s.what = fmt.Sprintf("link type %d, %d bytes", link, rec.WireLen)
	}
	line := strings.TrimSpace(s.ends() + " " + s.what)
	if len(s.outer) > 0 {
		line = strings.Join(s.outer, ", ") + ": " + line
	}
	return line
}

// summary is what the layers so far have told.
type summary struct {
	outer    []string // what carries another packet
	src, dst netip.Addr
	ports    [2]uint16
	ported   bool // there are ports
	what     string
}

// ends are both ends of the innermost IP packet.
func (s *summary) ends() string {
	switch {
	case !s.src.IsValid():
		return ""
	case s.ported:
		return fmt.Sprintf("%v > %v", netip.AddrPortFrom(s.src, s.ports[0]), netip.AddrPortFrom(s.dst, s.ports[1]))
	}
	return fmt.Sprintf("%v > %v", s.src, s.dst)
}

// ip enters an IP packet: what came before carries it.
func (s *summary) ip(src, dst net.IP, what string) {
	s.leave()
	s.src, _ = netip.AddrFromSlice(src)
	s.dst, _ = netip.AddrFromSlice(dst)
	s.what = what
}

// leave makes the IP packet so far one that carries another.
func (s *summary) leave() {
	if s.src.IsValid() {
		s.outer = append(s.outer, s.ends())
	}
	s.src, s.dst, s.ported = netip.Addr{}, netip.Addr{}, false
}

// carrier enters a header that carries another packet.
func (s *summary) carrier(format string, args ...any) {
	s.leave()
	s.outer = append(s.outer, fmt.Sprintf(format, args...))
}

// transport says what a header with ports says.
func (s *summary) transport(src, dst uint16, what string) {
	s.ports, s.ported, s.what = [2]uint16{src, dst}, true, what
}

// add takes in the next layer. Those that say nothing of use are left out.
func (s *summary) add(layer gopacket.Layer, rec *packet.Record) {
	switch l := layer.(type) {
	case *layers.Dot1Q:
		s.carrier("VLAN %d", l.VLANIdentifier)
	case *layers.VXLAN:
		s.carrier("VXLAN %d", l.VNI)
	case *layers.Geneve:
		s.carrier("Geneve %d", l.VNI)
	case *layers.GRE:
		s.carrier("GRE")
	case *layers.MPLS:
		s.carrier("MPLS %d", l.Label)
	case *layers.GTPv1U:
		s.carrier("GTP-U %d", l.TEID)
	case *layers.IPv4:
		s.ip(l.SrcIP, l.DstIP, l.Protocol.String())
		if l.FragOffset > 0 {
			s.what = fmt.Sprintf("fragment of IP packet %d at %d", l.Id, int(l.FragOffset)*8)
		}
	case *layers.IPv6:
		s.ip(l.SrcIP, l.DstIP, l.NextHeader.String())
	case *layers.TCP:
		if len(l.Contents) < 20 { // gopacket gives a layer also where the header is cut
			return
		}
		s.transport(uint16(l.SrcPort), uint16(l.DstPort), tcp(l, rec))
	case *layers.UDP:
		s.transport(uint16(l.SrcPort), uint16(l.DstPort), fmt.Sprintf("UDP len %d", max(0, int(l.Length)-8)))
	case *layers.SCTP:
		s.transport(uint16(l.SrcPort), uint16(l.DstPort), "SCTP")
	case *layers.DNS:
		s.what = dns(l)
	case *layers.ICMPv4:
		s.what = fmt.Sprintf("ICMP %v id %d seq %d%s", l.TypeCode, l.Id, l.Seq, quoted(rec))
	case *layers.ICMPv6:
		s.what = fmt.Sprintf("ICMPv6 %v%s", l.TypeCode, quoted(rec))
	case *layers.ARP:
		s.what = arp(l)
	case *layers.LinkLayerDiscovery:
		s.what = "LLDP"
	}
}

// decode gives the layers that can be read. What gopacket panics on, it recovers from by itself.
func decode(data []byte, link uint32) []gopacket.Layer {
	var first gopacket.Decoder = layers.LinkType(link)
	switch {
	case link == linkSLL2 && len(data) >= sll2Header:
		first, data = layers.EthernetType(binary.BigEndian.Uint16(data)), data[sll2Header:]
	case link == linkRawOld:
		first = layers.LinkType(linkRaw)
	case link > 0xff: // gopacket's type has 8 bits
		return nil
	}
	return gopacket.NewPacket(data, first, gopacket.NoCopy).Layers()
}

// flagNames are the control bits in the order of the header (RFC 9293 §3.1), from the highest.
var flagNames = []struct {
	flag packet.Flags
	name string
}{
	{packet.SYN, "SYN"}, {packet.FIN, "FIN"}, {packet.RST, "RST"}, {packet.PSH, "PSH"},
	{packet.ACK, "ACK"}, {packet.URG, "URG"}, {packet.ECE, "ECE"}, {packet.CWR, "CWR"},
}

// tcp tells a segment's ports, flags, numbers, window and options. The payload's length is the wire's,
// which the decoder of the connections has reckoned: the capture may hold none of it.
func tcp(l *layers.TCP, rec *packet.Record) string {
	var b strings.Builder
	b.WriteString("TCP ")
	flags := packet.Flags(l.Contents[13])
	sep := "["
	for _, f := range flagNames {
		if flags.Has(f.flag) {
			b.WriteString(sep + f.name)
			sep = ","
		}
	}
	if sep == "[" {
		b.WriteString(sep)
	}
	fmt.Fprintf(&b, "] seq %d", l.Seq)
	if l.ACK {
		fmt.Fprintf(&b, " ack %d", l.Ack)
	}
	fmt.Fprintf(&b, " win %d len %d", l.Window, rec.Payload)
	for _, o := range l.Options {
		b.WriteString(option(o))
	}
	return b.String()
}

// option tells one TCP option; those that only pad tell nothing.
func option(o layers.TCPOption) string {
	d := o.OptionData
	switch {
	case o.OptionType == layers.TCPOptionKindMSS && len(d) == 2:
		return fmt.Sprintf(" mss %d", binary.BigEndian.Uint16(d))
	case o.OptionType == layers.TCPOptionKindWindowScale && len(d) == 1:
		return fmt.Sprintf(" wscale %d", d[0])
	case o.OptionType == layers.TCPOptionKindSACKPermitted:
		return " sackOK"
	case o.OptionType == layers.TCPOptionKindTimestamps && len(d) == 8:
		return fmt.Sprintf(" ts %d %d", binary.BigEndian.Uint32(d), binary.BigEndian.Uint32(d[4:]))
	case o.OptionType == layers.TCPOptionKindSACK:
		text := " sack"
		for ; len(d) >= 8; d = d[8:] {
			text += fmt.Sprintf(" %d-%d", binary.BigEndian.Uint32(d), binary.BigEndian.Uint32(d[4:]))
		}
		return text
	case o.OptionType == layers.TCPOptionKindEndList || o.OptionType == layers.TCPOptionKindNop:
		return ""
	}
	return fmt.Sprintf(" opt-%d", o.OptionType)
}

// quoted says which packet an ICMP error is about.
func quoted(rec *packet.Record) string {
	q := &rec.Quoted
	if q.Proto == 0 {
		return ""
	}
	return fmt.Sprintf(" about %v:%d > %v:%d", q.Src.Netip(rec.V6), q.SrcPort, q.Dst.Netip(rec.V6), q.DstPort)
}

// dns tells the questions. Names are strangers' text: whoever prints the line takes care of that.
func dns(l *layers.DNS) string {
	text := "DNS query"
	if l.QR {
		text = "DNS " + l.ResponseCode.String()
	}
	for _, q := range l.Questions {
		text += fmt.Sprintf(" %v %s", q.Type, q.Name)
	}
	return text
}

// arp tells a question or an answer (RFC 826).
func arp(l *layers.ARP) string {
	from, _ := netip.AddrFromSlice(l.SourceProtAddress)
	to, _ := netip.AddrFromSlice(l.DstProtAddress)
	if l.Operation == layers.ARPReply {
		return fmt.Sprintf("ARP %v is at %v", from, net.HardwareAddr(l.SourceHwAddress))
	}
	return fmt.Sprintf("ARP who has %v, tell %v", to, from)
}
