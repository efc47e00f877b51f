//go:build linux

package capture

import (
	"encoding/binary"
	"net/netip"
	"slices"
	"testing"

	"github.com/google/gopacket"
	"github.com/google/gopacket/layers"
	"golang.org/x/net/bpf"
)

// The hand-made packets: every layer is a function that returns its bytes.

func eth(kind uint16) []byte {
	return append([]byte{2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2}, byte(kind>>8), byte(kind))
}

// tag is what follows an EtherType of 0x8100: the TCI and the next type.
func tag(id, kind uint16) []byte {
	return binary.BigEndian.AppendUint16(binary.BigEndian.AppendUint16(nil, id), kind)
}

// ip4 is a header with options of n bytes; frag is the flags and fragment offset field.
func ip4(proto byte, frag uint16, n int) []byte {
	h := make([]byte, 20+n)
	h[0] = byte(4<<4 | len(h)/4)
	h[2], h[3] = 0xff, 0xff // the total length: whatever follows
	binary.BigEndian.PutUint16(h[6:], frag)
	h[8], h[9] = 64, proto
	copy(h[12:], []byte{10, 0, 0, 1, 192, 0, 2, 7})
	return h
}

func ip6(next byte) []byte {
	h := make([]byte, 40)
	h[0], h[4], h[5], h[6], h[7] = 6<<4, 0xff, 0xff, next, 64 // with whatever follows
	copy(h[8:], netip.MustParseAddr("fd00::1").AsSlice())
	copy(h[24:], netip.MustParseAddr("2001:db8::7").AsSlice())
	return h
}

// ext is an IPv6 extension header of n bytes.
func ext(next byte, n int) []byte {
	h := make([]byte, n)
	h[0], h[1] = next, byte(n/8-1)
	return h
}

func frag6(next byte, offset uint16) []byte {
	return []byte{next, 0, byte(offset >> 5), byte(offset << 3), 0, 0, 0, 1}
}

func auth(next byte, n int) []byte {
	h := make([]byte, n)
	h[0], h[1] = next, byte(n/4-2)
	return h
}

func ports(n int, src, dst uint16) []byte {
	h := make([]byte, n)
	binary.BigEndian.PutUint16(h, src)
	binary.BigEndian.PutUint16(h[2:], dst)
	return h
}

func tcp(n int) []byte {
	h := ports(n, 40000, 443)
	h[12] = byte(n / 4 << 4)
	return h
}

func icmp(kind byte) []byte { return []byte{kind, 0, 0, 0, 0, 0, 0, 0} }

func payload(n int) []byte { return make([]byte, n) }

func join(parts ...[]byte) []byte { return slices.Concat(parts...) }

// run compiles the filter and returns its verdict on a packet.
func run(t testing.TB, f Filter, kind linkKind, pkt []byte) int {
	t.Helper()
	f, err := f.withDefaults()
	if err != nil {
		t.Fatal(err)
	}
	code, err := f.compile(kind)
	if err != nil {
		t.Fatal(err)
	}
	vm, err := bpf.NewVM(code)
	if err != nil {
		t.Fatal(err)
	}
	n, err := vm.Run(pkt)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// whole is what is kept of a packet that is not understood.
const whole = DefaultSnapLen

func TestFilterReturnsHeaderLength(t *testing.T) {
	data := payload(1000)
	inner4 := func(proto byte, n int) []byte { return join(ip4(proto, 0, n), tcp(32), data) }
	for _, c := range []struct {
		name string
		pkt  []byte
		want int
	}{
		{"tcp", join(eth(0x0800), ip4(6, 0, 0), tcp(20), data), 14 + 20 + 20},
		{"tcp options", join(eth(0x0800), ip4(6, 0, 0), tcp(60), data), 14 + 20 + 60},
		{"tcp without data", join(eth(0x0800), ip4(6, 0, 0), tcp(32)), 14 + 20 + 32},
		{"ip options", join(eth(0x0800), ip4(6, 0, 40), tcp(32), data), 14 + 60 + 32},
		{"do not fragment", join(eth(0x0800), ip4(6, 0x4000, 0), tcp(32), data), 14 + 20 + 32},
		{"first fragment", join(eth(0x0800), ip4(6, 0x2000, 0), tcp(32), data), 14 + 20 + 32},
		{"later fragment", join(eth(0x0800), ip4(6, 0x2001, 0), data), 14 + 20},
		{"last fragment", join(eth(0x0800), ip4(17, 0x00b9, 4), data), 14 + 24},
		{"vlan in-band", join(eth(0x8100), tag(77, 0x0800), ip4(6, 0, 0), tcp(32), data), 18 + 20 + 32},
		{"two tags in-band", join(eth(0x88a8), tag(5, 0x8100), tag(77, 0x86dd), ip6(6), tcp(32), data), 22 + 40 + 32},
		{"three tags", join(eth(0x88a8), tag(5, 0x8100), tag(6, 0x8100), tag(77, 0x0800), data), 22 + otherHeader},
		{"udp", join(eth(0x0800), ip4(17, 0, 0), ports(8, 40000, 443), data), 14 + 20 + 8},
		{"dns query", join(eth(0x0800), ip4(17, 0, 0), ports(8, 40000, 53), data), 14 + 20 + 20},
		{"dns reply over ipv6", join(eth(0x86dd), ip6(17), ports(8, 53, 40000), data), 14 + 40 + 20},
		{"mdns", join(eth(0x86dd), ip6(17), ports(8, 5353, 5353), data), 14 + 40 + 20},
		{"ipv6 tcp", join(eth(0x86dd), ip6(6), tcp(40), data), 14 + 40 + 40},
		{"ipv6 hop-by-hop", join(eth(0x86dd), ip6(0), ext(6, 8), tcp(32), data), 14 + 40 + 8 + 32},
		{"ipv6 two extensions", join(eth(0x86dd), ip6(0), ext(60, 8), ext(6, 24), tcp(32), data), 14 + 40 + 32 + 32},
		{"ipv6 first fragment", join(eth(0x86dd), ip6(44), frag6(6, 0), tcp(32), data), 14 + 40 + 8 + 32},
		{"ipv6 later fragment", join(eth(0x86dd), ip6(44), frag6(6, 181), data), 14 + 40 + 8},
		{"ipv6 authentication", join(eth(0x86dd), ip6(51), auth(6, 24), tcp(32), data), 14 + 40 + 24 + 32},
		{"ipv6 routing and destination", join(eth(0x86dd), ip6(43), ext(60, 24), ext(17, 8), ports(8, 1, 2), data), 14 + 40 + 32 + 8},
		{"ipv6 five extensions", join(eth(0x86dd), ip6(60), ext(60, 8), ext(60, 8), ext(60, 8), ext(60, 8), ext(6, 8), tcp(20), data), 14 + 40 + 32 + otherHeader},
		{"ipv6 long extension", join(eth(0x86dd), ip6(60), ext(6, 800), tcp(20), data), whole},
		{"ping", join(eth(0x0800), ip4(1, 0, 0), icmp(8), data), 14 + 20 + 8},
		{"pong", join(eth(0x0800), ip4(1, 0, 0), icmp(0), data), 14 + 20 + 8},
		{"ping6", join(eth(0x86dd), ip6(58), icmp(128), data), 14 + 40 + 8},
		{"unreachable quotes tcp", join(eth(0x0800), ip4(1, 0, 0), icmp(3), inner4(6, 0)), 14 + 20 + 8 + 20 + 20},
		{"unreachable quotes udp", join(eth(0x0800), ip4(1, 0, 0), icmp(3), inner4(17, 0)), 14 + 20 + 8 + 20 + 8},
		{"time exceeded quotes options", join(eth(0x0800), ip4(1, 0, 4), icmp(11), inner4(6, 8)), 14 + 24 + 8 + 28 + 20},
		{"packet too big quotes tcp", join(eth(0x86dd), ip6(58), icmp(2), ip6(6), tcp(32), data), 14 + 40 + 8 + 40 + 20},
		{"unreachable6 quotes udp", join(eth(0x86dd), ip6(58), icmp(1), ip6(17), ports(8, 1, 2), data), 14 + 40 + 8 + 40 + 8},
		{"router advertisement", join(eth(0x86dd), ip6(58), icmp(134), data), 14 + 40 + 16},
		{"neighbour solicitation", join(eth(0x86dd), ip6(58), icmp(135), data), 14 + 40 + 32},
		{"sctp", join(eth(0x0800), ip4(132, 0, 0), ports(28, 1, 2), data), 14 + 20 + 16},
		{"esp", join(eth(0x0800), ip4(50, 0, 0), data), 14 + 20 + 16},
		{"ipip of nothing", join(eth(0x0800), ip4(4, 0, 0), data), 14 + 20 + otherHeader},
		{"gre of nothing", join(eth(0x86dd), ip6(47), data), 14 + 40 + 4 + otherHeader},
		{"arp", join(eth(0x0806), payload(46)), 14 + 28},
		{"llc", join(eth(64), data), 14 + otherHeader},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got := run(t, Filter{}, ethernet, c.pkt); got != c.want {
				t.Errorf("kept %d bytes, want %d", got, c.want)
			}
		})
	}
}

func TestFilterWithoutLinkHeader(t *testing.T) {
	data := payload(1000)
	for name, c := range map[string]struct {
		pkt  []byte
		want int
	}{
		"tcp":            {join(ip4(6, 0, 0), tcp(32), data), 20 + 32},
		"ipv6 udp":       {join(ip6(17), ports(8, 1, 2), data), 40 + 8},
		"something else": {data, 0},
		"empty":          {nil, 0},
	} {
		if got := run(t, Filter{}, rawIP, c.pkt); got != c.want {
			t.Errorf("%s: kept %d bytes, want %d", name, got, c.want)
		}
	}
}

// Packets that are cut short anywhere are kept, and never longer than the limit.
func TestFilterKeepsTruncatedPackets(t *testing.T) {
	for name, pkt := range map[string][]byte{
		"tcp":    join(eth(0x0800), ip4(6, 0, 40), tcp(60)),
		"vlan":   join(eth(0x8100), tag(7, 0x88a8), tag(8, 0x0800), ip4(17, 0, 0), ports(20, 53, 9)),
		"quoted": join(eth(0x0800), ip4(1, 0, 0), icmp(3), ip4(6, 0, 0), tcp(20)),
		"ipv6":   join(eth(0x86dd), ip6(0), ext(51, 8), auth(44, 24), frag6(43, 0), ext(58, 8), icmp(1), ip6(6), tcp(20)),
		"sctp":   join(eth(0x86dd), ip6(132), ports(28, 1, 2)),
	} {
		for n := range pkt {
			if got := run(t, Filter{Ports: []uint16{1}}, ethernet, pkt[:n]); n < 14 && got != whole {
				t.Errorf("%s cut to %d bytes: kept %d of a frame without header", name, n, got)
			}
			if got := run(t, Filter{}, ethernet, pkt[:n]); got == 0 || got > whole {
				t.Errorf("%s cut to %d bytes: kept %d", name, n, got)
			}
			if raw := pkt[14:]; n > 0 && name != "vlan" && n <= len(raw) && run(t, Filter{}, rawIP, raw[:n]) == 0 {
				t.Errorf("%s without link header cut to %d bytes: dropped", name, n)
			}
		}
	}
}

func TestFilterMalformedLengths(t *testing.T) {
	shortIHL := ip4(6, 0, 0)
	shortIHL[0] = 0x44
	shortOffset := tcp(20)
	shortOffset[12] = 0x30
	for _, c := range []struct {
		name string
		pkt  []byte
		want int
	}{
		{"ip header of 16 bytes", join(eth(0x0800), shortIHL, tcp(20), payload(500)), 14 + otherHeader},
		{"tcp header of 12 bytes", join(eth(0x0800), ip4(6, 0, 0), shortOffset, payload(500)), 14 + 20 + otherHeader},
		{"both inside ipip", join(eth(0x0800), ip4(4, 0, 0), shortIHL, payload(500)), 14 + 20 + otherHeader},
	} {
		if got := run(t, Filter{}, ethernet, c.pkt); got != c.want {
			t.Errorf("%s: kept %d bytes, want %d", c.name, got, c.want)
		}
	}
}

func TestFilterLimits(t *testing.T) {
	pkt := join(eth(0x0800), ip4(6, 0, 0), tcp(60), payload(3000))
	for _, c := range []struct {
		f    Filter
		want int
	}{
		{Filter{Payload: 100}, 94 + 100},
		{Filter{SnapLen: 64}, 64},
		{Filter{SnapLen: 64, Payload: 30}, 64 + 30},
		{Filter{SnapLen: 94}, 94},
		{Filter{SnapLen: 2000, Payload: 2000}, 94 + 2000},
	} {
		if got := run(t, c.f, ethernet, pkt); got != c.want {
			t.Errorf("%+v: kept %d bytes, want %d", c.f, got, c.want)
		}
	}
	for _, f := range []Filter{{SnapLen: 20}, {Payload: -1}, {SnapLen: 4000, Payload: 200}, {Peers: []netip.Prefix{{}}}} {
		if _, err := f.withDefaults(); err == nil {
			t.Errorf("%+v was accepted", f)
		}
	}
}

// v4 and v6 are packets with what comes behind their IP header, and some data.

func v4(proto byte, rest ...[]byte) []byte {
	return join(eth(0x0800), ip4(proto, 0, 0), join(rest...), payload(64))
}

func v6(next byte, rest ...[]byte) []byte {
	return join(eth(0x86dd), ip6(next), join(rest...), payload(64))
}

func peers(prefixes ...string) (f Filter) {
	for _, p := range prefixes {
		f.Peers = append(f.Peers, netip.MustParsePrefix(p))
	}
	return f
}

func TestFilterRestricts(t *testing.T) {
	https, other := tcp(20), ports(20, 40000, 80)
	other[12] = 0x50
	port := Filter{Ports: []uint16{22, 443}}
	both := peers("192.0.2.0/24")
	both.Ports = []uint16{443}
	for _, c := range []struct {
		name string
		f    Filter
		pkt  []byte
		keep bool
	}{
		{"port", port, v4(6, https), true},
		{"port as source", port, v4(6, ports(12, 443, 9), []byte{0x50}, payload(7)), true},
		{"other port", port, v4(6, other), false},
		{"udp port", port, v6(17, ports(8, 9, 443)), true},
		{"other udp port", port, v6(17, ports(8, 9, 53)), false},
		{"sctp port", port, v4(132, ports(28, 22, 9)), true},
		{"other sctp port", port, v4(132, ports(28, 23, 9)), false},
		{"icmp error under a port", port, v4(1, icmp(3), ip4(6, 0, 0), https), true},
		{"arp under a port", port, join(eth(0x0806), payload(28)), true},
		{"lldp under a port", port, join(eth(0x88cc), payload(60)), false},
		{"later fragment under a port", port, join(eth(0x0800), ip4(6, 0x2010, 0), payload(64)), true},
		{"esp under a port", port, v4(50), false},
		{"peer as destination", peers("192.0.2.7/32"), v4(6, https), true},
		{"peer as source", peers("10.0.0.0/8"), v4(6, https), true},
		{"odd prefix length", peers("192.0.0.0/14"), v4(6, https), true},
		{"all of ipv4", peers("0.0.0.0/0"), v4(6, https), true},
		{"no ipv6 with an ipv4 peer", peers("0.0.0.0/0"), v6(6, https), false},
		{"other peer", peers("192.0.2.8/29", "172.16.0.0/12"), v4(6, https), false},
		{"second of two peers", peers("172.16.0.0/12", "192.0.2.0/25"), v4(6, https), true},
		{"ipv6 peer", peers("2001:db8::/32"), v6(6, https), true},
		{"ipv6 host", peers("fd00::1/128"), v6(6, https), true},
		{"ipv6 odd prefix length", peers("fd00::/7"), v6(6, https), true},
		{"other ipv6 peer", peers("2001:db8::8/126", "2001:db8:1::/48"), v6(6, https), false},
		{"icmp error from a router", peers("172.16.0.0/12"), v4(1, icmp(11), ip4(6, 0, 0), https), true},
		{"icmpv6 error from a router", peers("172.16.0.0/12"), v6(58, icmp(3), ip6(6), https), true},
		{"neighbour discovery", peers("172.16.0.0/12"), v6(58, icmp(136)), true},
		{"ping of another", peers("172.16.0.0/12"), v4(1, icmp(8)), false},
		{"ping6 of another", peers("172.16.0.0/12"), v6(58, icmp(129)), false},
		{"fragment of another", peers("172.16.0.0/12"), join(eth(0x0800), ip4(1, 0x2010, 0), payload(64)), false},
		{"both match", both, v4(6, https), true},
		{"only the peer matches", both, v4(6, other), false},
		{"only the port matches", both, v6(6, https), false},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got := run(t, c.f, ethernet, c.pkt); (got > 0) != c.keep {
				t.Errorf("kept %d bytes, want any: %v", got, c.keep)
			}
		})
	}
}

func TestFilterTooLarge(t *testing.T) {
	f := Filter{SnapLen: DefaultSnapLen}
	for i := range 200 {
		f.Peers = append(f.Peers, netip.PrefixFrom(netip.AddrFrom16([16]byte{0x20, byte(i)}), 128))
	}
	if _, err := f.compile(ethernet); err == nil {
		t.Error("a program beyond the kernel's limit was built")
	}
}

func TestFilterText(t *testing.T) {
	f := Filter{Ports: []uint16{443, 80}, Peers: []netip.Prefix{netip.MustParsePrefix("10.1.2.3/8")}}
	if got, want := f.String(), "(port 443 or port 80 or icmp or icmp6) and (net 10.0.0.0/8) or arp"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	if got := (Filter{}).String(); got != "" {
		t.Errorf("no restriction is %q", got)
	}
}

// Whatever arrives is kept when nothing is restricted: an out-of-bounds load in the
// filter would drop it.
func FuzzFilter(f *testing.F) {
	f.Add(join(eth(0x0800), ip4(6, 0, 0), tcp(32), payload(10)))
	f.Add(join(eth(0x8100), tag(1, 0x86dd), ip6(0), ext(44, 8), frag6(58, 0), icmp(1), ip6(6), tcp(20)))
	f.Add(join(eth(0x0800), ip4(1, 0, 4), icmp(3), ip4(17, 0, 8), ports(8, 1, 2)))
	code, err := Filter{SnapLen: DefaultSnapLen}.compile(ethernet)
	if err != nil {
		f.Fatal(err)
	}
	vm, err := bpf.NewVM(code)
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, pkt []byte) {
		n, err := vm.Run(pkt)
		if err != nil {
			t.Fatal(err)
		}
		if n < 14 || n > DefaultSnapLen {
			t.Fatalf("kept %d of %d bytes", n, len(pkt))
		}
		if want := headerEnd(pkt); want > 0 && n < min(want, DefaultSnapLen) {
			t.Fatalf("kept %d of %d bytes of headers", n, want)
		}
	})
}

// headerEnd is gopacket's opinion on where TCP's or UDP's header ends; 0 where it has none.
func headerEnd(pkt []byte) int {
	p := gopacket.NewPacket(pkt, layers.LayerTypeEthernet, gopacket.NoCopy)
	l := p.TransportLayer()
	if l == nil || p.ErrorLayer() != nil {
		return 0
	}
	switch l.LayerType() {
	case layers.LayerTypeTCP, layers.LayerTypeUDP:
		return len(pkt) - len(l.LayerPayload())
	}
	return 0
}
