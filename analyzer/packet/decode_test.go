package packet

import (
	"encoding/binary"
	"io"
	"net/netip"
	"slices"
	"testing"

	"github.com/google/gopacket"
	"github.com/google/gopacket/layers"

	"github.com/spikebox/spikebox/analyzer/internal/captures"
	"github.com/spikebox/spikebox/analyzer/internal/pkt"
)

var (
	client6 = netip.MustParseAddrPort("[2001:db8::1]:40000")
	server6 = netip.MustParseAddrPort("[2001:db8::2]:80")
)

// decoded returns the packet that data on a link is.
func decoded(link uint32, data []byte) Packet {
	var d decoder
	p := Packet{CapLen: uint32(len(data)), WireLen: uint32(len(data))}
	d.decode(&p, link, data)
	return p
}

// extended returns a segment behind IPv6 extension headers.
func extended(headers ...byte) []byte {
	tcp := segment6.Segment()
	return pkt.IPv6(client6.Addr(), server6.Addr(), headers[0], append(headers[1:], tcp...))
}

// link is data on a link that holds one segment.
type link struct {
	kind uint32
	data []byte
	v6   bool
}

// findsTCP fails unless the segment is recognised, and never from part of it.
func findsTCP(t *testing.T, packets map[string]link) {
	t.Helper()
	for name, c := range packets {
		t.Run(name, func(t *testing.T) {
			p := decoded(c.kind, c.data)
			src, dst := client, server
			if c.v6 {
				src, dst = client6, server6
			}
			if p.Kind != TCP || p.SrcAddrPort() != src || p.DstAddrPort() != dst || p.Seq != 5 || p.Payload != 9 {
				t.Fatalf("got %v %v > %v seq %d payload %d", p.Kind, p.SrcAddrPort(), p.DstAddrPort(), p.Seq, p.Payload)
			}
			cutEverywhere(t, c.kind, c.data)
		})
	}
}

// The segment that all of these carry.
var (
	segment4 = pkt.TCP{Src: client, Dst: server, Seq: 5, Flags: 16, Payload: 9}
	segment6 = pkt.TCP{Src: client6, Dst: server6, Seq: 5, Flags: 16, Payload: 9}
)

// A segment is recognised on every link and behind every header that is known.
func TestFindsTCP(t *testing.T) {
	v4, v6, ip4, ip6 := segment4, segment6, segment4.IP(), segment6.IP()
	sll := append([]byte{0, 4, 0, 1, 0, 6, 0, 0, 0, 0, 0, 0, 0, 0, 8, 0}, ip4...)
	sll2 := append([]byte{8, 0, 0, 0, 0, 0, 0, 3, 0, 1, 0, 6, 0, 0, 0, 0, 0, 0, 0, 0}, ip4...)
	findsTCP(t, map[string]link{
		"ethernet":        {1, v4.Frame(), false},
		"ethernet v6":     {1, v6.Frame(), true},
		"vlan":            {1, pkt.Ethernet(0x8100, pkt.VLAN(77, 0x0800, ip4)), false},
		"qinq":            {1, pkt.Ethernet(0x88a8, pkt.VLAN(77, 0x8100, pkt.VLAN(5, 0x86dd, ip6))), true},
		"sll":             {113, sll, false},
		"sll2":            {276, sll2, false},
		"raw":             {101, ip4, false},
		"raw v6":          {101, ip6, true},
		"raw of BSD":      {12, ip4, false},
		"ipv4 link":       {228, ip4, false},
		"null little":     {0, append([]byte{2, 0, 0, 0}, ip4...), false},
		"null big":        {0, append([]byte{0, 0, 0, 30}, ip6...), true},
		"loop":            {108, append([]byte{0, 0, 0, 24}, ip6...), true},
		"ppp":             {9, append([]byte{0, 0x21}, ip4...), false},
		"ppp of hdlc":     {9, append([]byte{0xff, 3, 0, 0x57}, ip6...), true},
		"hop by hop":      {101, extended(0, 6, 0, 1, 4, 0, 0, 0, 0), true},
		"two extensions":  {101, extended(60, 43, 0, 1, 4, 0, 0, 0, 0, 6, 0, 0, 0, 0, 0, 0, 0), true},
		"authentication":  {101, extended(51, 6, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0), true},
		"atomic fragment": {101, extended(44, 6, 0, 0, 0, 0, 0, 0, 1), true},
	})
	if p := decoded(1, pkt.Ethernet(0x8100, pkt.VLAN(77, 0x0800, ip4))); p.VLAN != 77 {
		t.Errorf("VLAN %d", p.VLAN)
	}
	if p := decoded(113, sll); p.Dir != DirOut {
		t.Errorf("direction %d of an outgoing cooked packet", p.Dir)
	}
	if p := decoded(276, sll2); p.Dir != DirIn {
		t.Errorf("direction %d of an incoming cooked packet", p.Dir)
	}
}

// Likewise inside every tunnel.
func TestFindsTCPInTunnels(t *testing.T) {
	v4, ip4, ip6 := segment4, segment4.IP(), segment6.IP()
	a, b := netip.MustParseAddr("203.0.113.1"), netip.MustParseAddr("203.0.113.2")
	tunnel := func(proto uint8, payload ...[]byte) []byte {
		return pkt.IPv4(a, b, proto, 0, 0, slices.Concat(payload...))
	}
	vxlan := pkt.UDP(999, 4789, slices.Concat([]byte{8, 0, 0, 0, 0, 0, 1, 0}, v4.Frame()))
	geneve := pkt.UDP(999, 6081, slices.Concat([]byte{1, 0, 0x65, 0x58, 0, 0, 1, 0, 0, 0, 0, 0}, v4.Frame()))
	findsTCP(t, map[string]link{
		"ip in ip":          {101, tunnel(4, ip4), false},
		"v6 in v4":          {101, tunnel(41, ip6), true},
		"gre":               {101, tunnel(47, []byte{0, 0, 8, 0}, ip4), false},
		"gre with all":      {101, tunnel(47, []byte{0xb0, 0, 0x86, 0xdd}, make([]byte, 12), ip6), true},
		"gre with ethernet": {101, tunnel(47, []byte{0, 0, 0x65, 0x58}, v4.Frame()), false},
		"erspan I":          {101, tunnel(47, []byte{0, 0, 0x88, 0xbe}, v4.Frame()), false},
		"erspan II":         {101, tunnel(47, []byte{0x10, 0, 0x88, 0xbe}, make([]byte, 12), v4.Frame()), false},
		"erspan III":        {101, tunnel(47, []byte{0x10, 0, 0x22, 0xeb}, make([]byte, 16), v4.Frame()), false},
		"erspan III, more":  {101, tunnel(47, []byte{0x10, 0, 0x22, 0xeb}, make([]byte, 15), []byte{1}, make([]byte, 8), v4.Frame()), false},
		"vxlan":             {101, tunnel(17, vxlan), false},
		"geneve":            {101, tunnel(17, geneve), false},
		"gtp-u":             {101, tunnel(17, pkt.UDP(999, 2152, slices.Concat([]byte{0x30, 255, 0, 49, 0, 0, 0, 7}, ip4))), false},
		"gtp-u with number": {101, tunnel(17, pkt.UDP(2152, 2152, slices.Concat([]byte{0x32, 255, 0, 73, 0, 0, 0, 7, 0, 1, 0, 0}, ip6))), true},
		"gtp-u with qfi":    {101, tunnel(17, pkt.UDP(2152, 2152, slices.Concat([]byte{0x34, 255, 0, 57, 0, 0, 0, 7, 0, 0, 0, 0x85, 1, 0, 9, 0}, ip4))), false},
		"gre in udp":        {101, tunnel(17, pkt.UDP(49152, 4754, slices.Concat([]byte{0x20, 0, 8, 0, 0, 0, 0, 5}, ip4))), false},
		"ah":                {101, pkt.IPv4(client.Addr(), server.Addr(), 51, 0, 0, slices.Concat([]byte{6, 4, 0, 0, 0, 0, 0, 1, 0, 0, 0, 2}, make([]byte, 12), v4.Segment())), false},
		"ah, tunnel mode":   {101, tunnel(51, []byte{4, 4, 0, 0, 0, 0, 0, 1, 0, 0, 0, 2}, make([]byte, 12), ip4), false},
		"gre in vxlan":      {101, tunnel(17, pkt.UDP(999, 4789, slices.Concat([]byte{8, 0, 0, 0, 0, 0, 1, 0}, pkt.Ethernet(0x0800, tunnel(47, []byte{0, 0, 8, 0}, ip4))))), false},
		"mpls":              {1, pkt.Ethernet(0x8847, append([]byte{0, 1, 0, 64, 0, 2, 1, 64}, ip4...)), false},
		"pppoe":             {1, pkt.Ethernet(0x8864, append([]byte{0x11, 0, 0, 1, 0, 99, 0, 0x57}, ip6...)), true},
	})
}

// cutEverywhere decodes every prefix of a packet: what was cut must not be believed.
func cutEverywhere(t *testing.T, link uint32, data []byte) {
	t.Helper()
	for n := range data {
		var d decoder
		p := Packet{CapLen: uint32(n), WireLen: uint32(len(data))}
		d.decode(&p, link, data[:n])
		if p.Kind == TCP && p.Payload != 9 {
			t.Fatalf("cut at %d: payload %d", n, p.Payload)
		}
	}
}

func TestKinds(t *testing.T) {
	a, b := client.Addr(), server.Addr()
	tcp := pkt.TCP{Src: client, Dst: server, Flags: 16}.Segment()
	badOffset := slices.Clone(tcp)
	badOffset[12] = 0x40
	badIP := pkt.IPv4(a, b, 6, 0, 0, tcp)
	badIP[0] = 0x44
	for name, c := range map[string]struct {
		link uint32
		data []byte
		want Kind
	}{
		"unknown link":       {147, tcp, Unknown},
		"arp":                {1, pkt.Ethernet(0x0806, make([]byte, 28)), ARP},
		"llc":                {1, pkt.Ethernet(38, make([]byte, 38)), OtherEther},
		"lldp":               {1, pkt.Ethernet(0x88cc, nil), OtherEther},
		"short ethernet":     {1, make([]byte, 13), ShortLink},
		"short tag":          {1, pkt.Ethernet(0x8100, []byte{0}), ShortLink},
		"short ip":           {101, []byte{0x45, 0}, ShortIP},
		"not ip":             {101, []byte{0x15, 0}, BadIP},
		"bad header length":  {101, badIP, BadIP},
		"later fragment":     {101, pkt.IPv4(a, b, 6, 1, 100, tcp), Fragment},
		"first fragment":     {101, pkt.IPv4(a, b, 6, 1, 0x2000, tcp), TCP},
		"later fragment v6":  {101, extended(44, 6, 0, 0, 8, 0, 0, 0, 1), Fragment},
		"sctp":               {101, pkt.IPv4(a, b, 132, 0, 0, tcp), OtherIP},
		"short tcp":          {101, pkt.IPv4(a, b, 6, 0, 0, tcp[:19]), ShortTCP},
		"bad tcp offset":     {101, pkt.IPv4(a, b, 6, 0, 0, badOffset), BadTCP},
		"udp":                {101, pkt.IPv4(a, b, 17, 0, 0, pkt.UDP(1, 2, nil)), UDP},
		"short udp":          {101, pkt.IPv4(a, b, 17, 0, 0, []byte{1}), ShortPayload},
		"icmp":               {101, pkt.IPv4(a, b, 1, 0, 0, make([]byte, 8)), ICMP},
		"pptp stays":         {101, pkt.IPv4(a, b, 47, 0, 0, []byte{0x30, 1, 0x88, 0x0b, 0, 0, 0, 0}), OtherIP},
		"vxlan without flag": {101, pkt.IPv4(a, b, 17, 0, 0, pkt.UDP(1, 4789, make([]byte, 90))), UDP},
		"endless extensions": {101, extended(slices.Repeat([]byte{60, 0, 0, 0, 0, 0, 0, 0}, 40)...), BadIP},
	} {
		t.Run(name, func(t *testing.T) {
			if got := decoded(c.link, c.data).Kind; got != c.want {
				t.Errorf("%v, want %v", got, c.want)
			}
		})
	}
}

func TestOptions(t *testing.T) {
	syn := pkt.TCP{Src: client, Dst: server, Flags: 2, Options: pkt.SYNOptions(1460, 7, 11, 22)}
	p := decoded(1, syn.Frame())
	if p.MSS != 1460 || p.WScale != 7 || p.TSval != 11 || p.TSecr != 22 || p.HeaderLen != 40 ||
		p.Opts != OptMSS|OptWScale|OptSACKOK|OptTS {
		t.Errorf("SYN: %+v", p)
	}
	options := slices.Concat(pkt.Timestamps(1, 2), pkt.SACK(10, 20, 30, 40, 50, 60))
	p = decoded(1, pkt.TCP{Src: client, Dst: server, Flags: 16, Options: options}.Frame())
	if p.NSACK != 3 || p.SACKs[2] != (SACK{50, 60}) || p.TSecr != 2 {
		t.Errorf("SACK: %+v", p)
	}
	for name, c := range map[string]struct {
		options []byte
		want    Opts
	}{
		"fast open":         {[]byte{34, 2}, OptTFO},
		"old fast open":     {[]byte{254, 4, 0xf9, 0x89}, OptTFO},
		"multipath":         {[]byte{30, 3, 0}, OptMPTCP},
		"end":               {[]byte{0, 2, 4, 5}, 0},
		"length of zero":    {[]byte{8, 0, 0, 0}, OptTruncated},
		"beyond the header": {[]byte{8, 10, 0, 0}, OptTruncated},
		"wrong length":      {[]byte{2, 3, 5, 1}, 0},
	} {
		frame := pkt.TCP{Src: client, Dst: server, Flags: 16, Options: c.options}.Frame()
		if p := decoded(1, frame); p.Opts != c.want {
			t.Errorf("%s: %b, want %b", name, p.Opts, c.want)
		}
	}
	frame := syn.Frame()
	if p := decoded(1, frame[:len(frame)-9]); p.Opts&OptTruncated == 0 || p.MSS != 1460 {
		t.Errorf("cut options: %+v", p)
	}
}

func TestICMP(t *testing.T) {
	quote := pkt.TCP{Src: client, Dst: server, Seq: 99}
	port := pkt.IPv4(server.Addr(), client.Addr(), 1, 0, 0,
		slices.Concat([]byte{3, 3, 0, 0, 0, 0, 0, 0}, quote.IP()[:28]))
	p := decoded(101, port)
	want := Quoted{Src: p.Dst, Dst: p.Src, SrcPort: 40000, DstPort: 80, Seq: 99, Proto: 6}
	if p.Kind != ICMP || p.Quoted != want {
		t.Errorf("quoted %+v, want %+v", p.Quoted, want)
	}
	quote.Src, quote.Dst = client6, server6
	big := pkt.IPv6(server6.Addr(), client6.Addr(), 58,
		slices.Concat([]byte{2, 0, 0, 0, 0, 0, 5, 0}, quote.IP()[:48]))
	if p := decoded(101, big); p.Kind != ICMPv6 || p.Quoted.Seq != 99 || p.Quoted.SrcPort != 40000 {
		t.Errorf("quoted %+v", p.Quoted)
	}
	echo := pkt.IPv4(client.Addr(), server.Addr(), 1, 0, 0, []byte{8, 0, 0, 0, 1, 2, 3, 4})
	if p := decoded(101, echo); p.ICMPID != 0x102 || p.ICMPSeq != 0x304 {
		t.Errorf("echo %+v", p)
	}
}

// Frames of segmentation offload have no length in the IP header once they exceed 64 KiB.
func TestBigTCP(t *testing.T) {
	frame := pkt.TCP{Src: client, Dst: server, Flags: 16}.Frame()
	binary.BigEndian.PutUint16(frame[16:], 0)
	p := Packet{CapLen: uint32(len(frame)), WireLen: uint32(len(frame) + 100000)}
	new(decoder).decode(&p, 1, frame)
	if p.Payload != 100000 {
		t.Errorf("payload %d", p.Payload)
	}
}

func TestDecodeAllocatesNothing(t *testing.T) {
	var d decoder
	var p Packet
	frame := pkt.TCP{Src: client, Dst: server, Flags: 16, Options: pkt.Timestamps(1, 2), Payload: 10}.Frame()
	if n := testing.AllocsPerRun(100, func() { d.decode(&p, 1, frame) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

// gopacket decodes the packets of real captures in the same way.
func TestAgainstGopacket(t *testing.T) { againstGopacket(t, captures.Ours(t, "linux-6.18/*.pcap*")) }

func TestOthersAgainstGopacket(t *testing.T) { againstGopacket(t, captures.Others(t, "tcprs/*.pcap")) }

func againstGopacket(t *testing.T, paths []string) {
	t.Helper()
	for _, path := range paths {
		s, err := OpenFiles(path)
		if err != nil {
			t.Fatal(err)
		}
		st, closer, err := newStream(fileReader(t, path))
		if err != nil {
			t.Fatal(err)
		}
		c, err := newContainer(st, new(registry).of(0))
		if err != nil {
			t.Fatal(err)
		}
		var rec record
		for {
			p, err := s.Next()
			if err == io.EOF {
				break
			}
			if err := c.next(&rec); err != nil {
				t.Fatal(err)
			}
			compare(t, p, gopacket.NewPacket(rec.data, layers.LayerTypeEthernet, gopacket.NoCopy))
		}
		closer()
		s.Close()
	}
}

// compare fails when gopacket sees another TCP header.
func compare(t *testing.T, p *Packet, g gopacket.Packet) {
	t.Helper()
	tcp, _ := g.Layer(layers.LayerTypeTCP).(*layers.TCP)
	if (tcp != nil) != (p.Kind == TCP) {
		t.Fatalf("frame %d: %v, gopacket %v", p.Frame, p.Kind, g)
	}
	if tcp == nil {
		return
	}
	if p.Seq != tcp.Seq || p.Ack != tcp.Ack || p.Window != tcp.Window ||
		p.SrcPort != uint16(tcp.SrcPort) || p.DstPort != uint16(tcp.DstPort) ||
		int(p.HeaderLen) != 4*int(tcp.DataOffset) {
		t.Fatalf("frame %d: %+v, gopacket %+v", p.Frame, p, tcp)
	}
}

// What a packet hides, or seems to, is named; what only shares a port is not.
func TestOpaque(t *testing.T) {
	a, b := client.Addr(), server.Addr()
	ip := func(proto uint8, payload ...[]byte) []byte {
		return pkt.IPv4(a, b, proto, 0, 0, slices.Concat(payload...))
	}
	inner := pkt.TCP{Src: client, Dst: server, Flags: 16}.IP()
	deep := inner
	for range maxTunnels + 1 {
		deep = ip(4, deep)
	}
	ahs := slices.Repeat([]byte{51, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0}, maxTunnels+2)
	for name, c := range map[string]struct {
		link uint32
		data []byte
		want Opaque
	}{
		"tcp":                    {101, inner, Clear},
		"esp":                    {101, ip(50, make([]byte, 40)), InESP},
		"esp over v6":            {101, pkt.IPv6(client6.Addr(), server6.Addr(), 50, make([]byte, 40)), InESP},
		"esp in udp":             {101, ip(17, pkt.UDP(4500, 4500, []byte{1, 2, 3, 4, 0, 0, 0, 1})), InESPUDP},
		"ike":                    {101, ip(17, pkt.UDP(4500, 4500, make([]byte, 40))), Clear},
		"ike keep-alive":         {101, ip(17, pkt.UDP(4500, 4500, []byte{255})), Clear},
		"wireguard":              {101, ip(17, pkt.UDP(51820, 999, append([]byte{4, 0, 0, 0}, make([]byte, 92)...))), InWireGuard},
		"wireguard, headers":     {101, ip(17, pkt.UDP(999, 51820, make([]byte, 92)))[:28], InWireGuard},
		"other on its port":      {101, ip(17, pkt.UDP(51820, 53, []byte{0x12, 0x34, 1, 0})), Clear},
		"l2tp":                   {101, ip(17, pkt.UDP(1701, 1701, []byte{0, 2, 0, 1, 0, 1, 0, 33})), InL2TP},
		"l2tp control":           {101, ip(17, pkt.UDP(1701, 1701, []byte{0xc8, 2, 0, 12, 0, 1, 0, 33})), Clear},
		"l2tp version 3":         {101, ip(115, make([]byte, 40)), InL2TP},
		"pptp":                   {101, ip(47, []byte{0x30, 1, 0x88, 0x0b, 0, 0, 0, 0}), InGRE},
		"gre of something":       {101, ip(47, []byte{0, 0, 0x88, 0xcc, 0, 0, 0, 0}), InGRE},
		"gtp-u of something":     {101, ip(17, pkt.UDP(2152, 2152, []byte{0x30, 255, 0, 4, 0, 0, 0, 7, 1, 2, 3, 4})), InGTPU},
		"gtp-u, cut":             {101, ip(17, pkt.UDP(2152, 2152, append([]byte{0x30, 255, 0, 40, 0, 0, 0, 7}, inner...)))[:40], InGTPU},
		"gtp-u echo":             {101, ip(17, pkt.UDP(2152, 2152, []byte{0x32, 1, 0, 4, 0, 0, 0, 0, 0, 1, 0, 0})), Clear},
		"gtp-u, endless":         {101, ip(17, pkt.UDP(2152, 2152, append([]byte{0x34, 255, 0, 0, 0, 0, 0, 7, 0, 0, 0, 0x85}, slices.Repeat([]byte{1, 0, 9, 0x85}, 40)...))), InGTPU},
		"vxlan, cut":             {101, ip(17, pkt.UDP(9, 4789, append([]byte{8, 0, 0, 0, 0, 0, 1, 0}, make([]byte, 60)...)))[:50], InVXLAN},
		"vxlan without its flag": {101, ip(17, pkt.UDP(9, 4789, make([]byte, 60))), Clear},
		"macsec":                 {1, pkt.Ethernet(0x88e5, make([]byte, 60)), InMACsec},
		"pppoe encrypted":        {1, pkt.Ethernet(0x8864, []byte{0x11, 0, 0, 1, 0, 9, 0, 0xfd, 1, 2, 3, 4}), InPPPoE},
		"pppoe control":          {1, pkt.Ethernet(0x8864, []byte{0x11, 0, 0, 1, 0, 9, 0xc0, 0x21, 1, 2, 3, 4}), Clear},
		"mpls pseudowire":        {1, pkt.Ethernet(0x8847, []byte{0, 1, 1, 64, 0, 0, 0, 1}), InMPLS},
		"too deep":               {101, deep, InIPIP},
		"ah in ah":               {101, ip(51, ahs), InAH},
		"wireguard in gre":       {101, ip(47, []byte{0, 0, 8, 0}, ip(17, pkt.UDP(51820, 9, append([]byte{1, 0, 0, 0}, make([]byte, 144)...)))), InWireGuard},
	} {
		t.Run(name, func(t *testing.T) {
			if p := decoded(c.link, c.data); p.Opaque != c.want {
				t.Errorf("%q in %v, want %q", p.Opaque, p.Kind, c.want)
			}
		})
	}
}
