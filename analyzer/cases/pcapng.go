package cases

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"slices"
	"strings"
	"time"

	"github.com/google/gopacket"
	"github.com/google/gopacket/layers"
)

// write lays the packets out as pcapng (draft-ietf-opsawg-pcapng): a section, one
// interface with nanoseconds, enhanced packet blocks with their direction, statistics.
func (b *builder) write() ([]byte, error) {
	var out bytes.Buffer
	block(&out, 0x0A0D0D0A, le32(0x1A2B3C4D), le16(1, 0), le32(0xFFFFFFFF, 0xFFFFFFFF))
	names := b.interfaces()
	for _, name := range names {
		block(&out, 1, le16(b.link, 0), le32(0), option(2, []byte(name)), option(9, []byte{9}), option(0, nil))
	}
	for _, s := range b.sorted() {
		frame, err := b.frame(&s)
		if err != nil {
			return nil, err
		}
		for _, seen := range b.seen(&s) {
			at := uint64(b.start.Add(seen.at).UnixNano())
			parts := [][]byte{le32(uint32(slices.Index(names, seen.on)), uint32(at>>32), uint32(at), uint32(len(frame)), uint32(len(frame))), padded(frame)}
			if seen.way != 0 {
				parts = append(parts, option(2, le32(seen.way)), option(0, nil))
			}
			block(&out, 6, parts...)
		}
	}
	if !b.host.IsValid() {
		return out.Bytes(), nil
	}
	received := binary.LittleEndian.AppendUint64(nil, uint64(len(b.segments)))
	dropped := binary.LittleEndian.AppendUint64(nil, b.drops)
	for i := range names {
		block(&out, 5, le32(uint32(i), 0, 0), option(4, received), option(5, dropped), option(0, nil))
	}
	return out.Bytes(), nil
}

// interfaces names all that packets are on, eth0 first.
func (b *builder) interfaces() []string {
	names := []string{"eth0"}
	for i := range b.segments {
		for _, name := range []string{b.segments[i].in, b.segments[i].out} {
			if name != "" && !slices.Contains(names, name) {
				names = append(names, name)
			}
		}
	}
	return names
}

// seen is a packet on an interface.
type seen struct {
	on  string
	way uint32 // epb_flags: 1 inbound, 2 outbound, 0 where that is not told
	at  time.Duration
}

// seen says where a packet is captured.
func (b *builder) seen(s *segment) (all []seen) {
	if s.in != "" {
		all = append(all, seen{s.in, 1, s.at})
	}
	if s.out != "" {
		all = append(all, seen{s.out, 2, s.at + 10*time.Microsecond})
	}
	switch {
	case len(all) > 0:
		return all
	case !b.host.IsValid():
		return []seen{{"eth0", 0, s.at}}
	case s.src.Addr() == b.host:
		return []seen{{"eth0", 2, s.at}}
	}
	return []seen{{"eth0", 1, s.at}}
}

// frame encodes one packet.
func (b *builder) frame(s *segment) ([]byte, error) {
	if s.proto == protoARP {
		return s.arp()
	}
	ip, kind := s.network()
	eth := &layers.Ethernet{SrcMAC: make([]byte, 6), DstMAC: make([]byte, 6), EthernetType: kind}
	payload := make([]byte, s.payload)
	copy(payload, s.data)
	stack := []gopacket.SerializableLayer{eth, ip}
	switch s.proto {
	case protoTCP:
		tcp := b.tcp(s)
		if err := tcp.SetNetworkLayerForChecksum(ip); err != nil {
			return nil, err
		}
		stack = append(stack, tcp)
	case protoUDP:
		udp := &layers.UDP{SrcPort: layers.UDPPort(s.src.Port()), DstPort: layers.UDPPort(s.dst.Port())}
		if err := udp.SetNetworkLayerForChecksum(ip); err != nil {
			return nil, err
		}
		stack = append(stack, udp)
	}
	buf := gopacket.NewSerializeBuffer()
	err := gopacket.SerializeLayers(buf, gopacket.SerializeOptions{FixLengths: true, ComputeChecksums: true},
		append(stack, gopacket.Payload(payload))...)
	return buf.Bytes(), err
}

// arp encodes a request.
func (s *segment) arp() ([]byte, error) {
	buf := gopacket.NewSerializeBuffer()
	err := gopacket.SerializeLayers(buf, gopacket.SerializeOptions{FixLengths: true},
		&layers.Ethernet{SrcMAC: s.link, DstMAC: layers.EthernetBroadcast, EthernetType: layers.EthernetTypeARP},
		&layers.ARP{AddrType: layers.LinkTypeEthernet, Protocol: layers.EthernetTypeIPv4, Operation: layers.ARPRequest,
			SourceHwAddress: s.link, SourceProtAddress: s.src.Addr().AsSlice(), DstHwAddress: make([]byte, 6), DstProtAddress: s.dst.Addr().AsSlice()})
	return buf.Bytes(), err
}

// ipLayer is a header that knows the checksum of what it carries.
type ipLayer interface {
	gopacket.NetworkLayer
	gopacket.SerializableLayer
}

// network gives the header of the network layer, of IPv6 where the source is.
func (s *segment) network() (ipLayer, layers.EthernetType) {
	src, dst, ttl := s.src.Addr().AsSlice(), s.dst.Addr().AsSlice(), cmp.Or(s.ttl, 64)
	if s.src.Addr().Is6() {
		return &layers.IPv6{Version: 6, HopLimit: ttl, NextHeader: layers.IPProtocol(s.proto), SrcIP: src, DstIP: dst}, layers.EthernetTypeIPv6
	}
	return &layers.IPv4{Version: 4, TTL: ttl, Id: s.id, Protocol: layers.IPProtocol(s.proto), SrcIP: src, DstIP: dst}, layers.EthernetTypeIPv4
}

// tcp gives the header of a segment.
func (b *builder) tcp(s *segment) *layers.TCP {
	has := func(flag string) bool { return strings.Contains(s.flags, flag) }
	tcp := &layers.TCP{
		SrcPort: layers.TCPPort(s.src.Port()), DstPort: layers.TCPPort(s.dst.Port()), Window: 64000,
		SYN: has("S"), ACK: has("A"), FIN: has("F"), RST: has("R"), PSH: has("P"), Options: s.options(),
	}
	tcp.Seq, tcp.Ack = b.number(s)
	if s.win != nil {
		tcp.Window = uint16(*s.win)
	}
	return tcp
}

// options gives the TCP options in the order in which Linux sends them; gopacket fills up to four bytes.
func (s *segment) options() (list []layers.TCPOption) {
	add := func(kind layers.TCPOptionKind, data []byte) {
		list = append(list, layers.TCPOption{OptionType: kind, OptionLength: uint8(2 + len(data)), OptionData: data})
	}
	if s.mss != 0 {
		add(layers.TCPOptionKindMSS, binary.BigEndian.AppendUint16(nil, s.mss))
	}
	if s.sackPermitted {
		add(layers.TCPOptionKindSACKPermitted, nil)
	}
	if s.stamps != nil {
		add(layers.TCPOptionKindTimestamps, be32(s.stamps[:]...))
	}
	if s.wscale != nil {
		add(layers.TCPOptionKindWindowScale, []byte{*s.wscale})
	}
	if len(s.sack) > 0 {
		var edges []uint32
		begin := isn(s.dst.String() + ">" + s.src.String())
		for _, block := range s.sack {
			edges = append(edges, begin+block[0], begin+block[1])
		}
		add(layers.TCPOptionKindSACK, be32(edges...))
	}
	return list
}

// block writes a pcapng block around its parts.
func block(out *bytes.Buffer, kind uint32, parts ...[]byte) {
	body := bytes.Join(parts, nil)
	length := uint32(12 + len(body))
	out.Write(le32(kind, length))
	out.Write(body)
	out.Write(le32(length))
}

func option(code uint16, value []byte) []byte {
	return append(le16(code, uint16(len(value))), padded(value)...)
}

func padded(b []byte) []byte { return append(bytes.Clone(b), make([]byte, -len(b)&3)...) }

func le16(values ...uint16) (b []byte) {
	for _, v := range values {
		b = binary.LittleEndian.AppendUint16(b, v)
	}
	return b
}

func le32(values ...uint32) (b []byte) {
	for _, v := range values {
		b = binary.LittleEndian.AppendUint32(b, v)
	}
	return b
}

func be32(values ...uint32) (b []byte) {
	for _, v := range values {
		b = binary.BigEndian.AppendUint32(b, v)
	}
	return b
}
