//go:build linux

package capture

import (
	"bytes"
	"encoding/binary"
	"errors"
	"net/netip"
	"os"
	"strings"
	"testing"

	"golang.org/x/net/bpf"
	"golang.org/x/sys/unix"

	"github.com/spikebox/spikebox/recorder/internal/testns"
)

// token stands for what people sent: a cookie, a password, a name.
const token = "Cookie: session=hunter2; "

// secret is more of it than a packet's snapshot holds.
func secret() []byte { return bytes.Repeat([]byte(token), 40) }

func gre(flags, kind uint16, options int) []byte {
	return append(binary.BigEndian.AppendUint16(binary.BigEndian.AppendUint16(nil, flags), kind), payload(options)...)
}

func vxlan(port uint16) []byte { return join(ports(8, 50000, port), []byte{8, 0, 0, 0, 0, 0, 77, 0}) }

func geneve(kind uint16, options int) []byte {
	return join(ports(8, 50000, 6081), []byte{byte(options / 4), 0, byte(kind >> 8), byte(kind), 0, 0, 77, 0}, payload(options))
}

func mpls(labels int) (b []byte) {
	for i := range labels {
		bottom := byte(0)
		if i == labels-1 {
			bottom = 1
		}
		b = append(b, 0, 1, bottom, 64)
	}
	return b
}

func pppoe(kind uint16) []byte { return []byte{0x11, 0, 0, 1, 0xff, 0xff, byte(kind >> 8), byte(kind)} }

// wrapping is one way in which a packet holds another: everything before the inner header,
// and whether an Ethernet frame is inside.
type wrapping struct {
	name  string
	outer []byte
	frame bool
}

func wrappings() []wrapping {
	v4 := func(proto byte, rest ...[]byte) []byte { return join(eth(0x0800), ip4(proto, 0, 4), join(rest...)) }
	v6 := func(next byte, rest ...[]byte) []byte {
		return join(eth(0x86dd), ip6(0), ext(next, 8), join(rest...))
	}
	return []wrapping{
		{"plain", nil, true},
		{"vlan", join(eth(0x8100), tag(7, 0)[:2]), false},
		{"ipip", v4(4), false}, {"ip in ip6", v6(4), false}, {"6in4", v4(41), false}, {"ip6 in ip6", v6(41), false},
		{"gre", v4(47, gre(0, 0, 0)), false}, {"gre, key and sequence, over ip6", v6(47, gre(0x3000, 0, 8)), false},
		{"gre, checksum", v4(47, gre(0x8000, 0, 4)), false}, {"bridged gre", v4(47, gre(0x2000, 0x6558, 4)), true},
		{"vxlan", v4(17, vxlan(4789)), true}, {"vxlan of Linux over ip6", v6(17, vxlan(8472)), true},
		{"geneve", v4(17, geneve(0x6558, 0)), true}, {"geneve with options", v6(17, geneve(0x6558, 24)), true},
		{"geneve of ip", v4(17, geneve(0, 8)), false},
		{"pppoe", join(eth(0x8864), pppoe(0)), false}, {"pppoe in a vlan", join(eth(0x88a8), tag(5, 0x8864), pppoe(0)), false},
		{"mpls", join(eth(0x8847), mpls(1)), false}, {"four labels in two vlans", join(eth(0x88a8), tag(5, 0x8100), tag(6, 0x8848), mpls(4)), false},
	}
}

// wrap puts an IP packet inside; v6 says which version.
func (w wrapping) wrap(v6 bool, ip []byte) []byte {
	kind, ppp := uint16(0x0800), uint16(0x0021)
	if v6 {
		kind, ppp = 0x86dd, 0x0057
	}
	outer := bytes.Clone(w.outer)
	switch n := len(outer); {
	case w.name == "vlan":
		outer = binary.BigEndian.AppendUint16(outer, kind)
	case bytes.HasPrefix([]byte(w.name), []byte("gre")):
		at := bytes.LastIndex(outer, gre(binary.BigEndian.Uint16(outer[n-greTail(w.name):]), 0, 0)) + 2
		binary.BigEndian.PutUint16(outer[at:], kind)
	case w.name == "geneve of ip":
		binary.BigEndian.PutUint16(outer[n-8-8+2:], kind)
	case bytes.HasPrefix([]byte(w.name), []byte("pppoe")):
		binary.BigEndian.PutUint16(outer[n-2:], ppp)
	}
	if w.frame {
		outer = append(outer, eth(kind)...)
	}
	return append(outer, ip...)
}

// greTail is how long the GRE header of a wrapping is.
func greTail(name string) int {
	return map[string]int{"gre": 4, "gre, key and sequence, over ip6": 12, "gre, checksum": 8}[name]
}

// Through one encapsulation of every kind, the inner headers are kept to their last byte
// and nothing behind them.
func TestFilterKeepsHeadersOnly(t *testing.T) {
	for _, w := range wrappings() {
		for _, inside := range []struct {
			name string
			v6   bool
			ip   []byte // headers, to the last byte that must be kept
		}{
			{"tcp", false, join(ip4(6, 0, 8), tcp(32))},
			{"tcp6", true, join(ip6(60), ext(6, 8), tcp(40))},
			{"udp", false, join(ip4(17, 0, 0), ports(8, 40000, 443))},
			{"udp6", true, join(ip6(17), ports(8, 40000, 443))},
			{"dns", false, join(ip4(17, 0, 0), ports(8, 40000, 53), payload(12))},
			{"echo", false, join(ip4(1, 0, 0), icmp(8))},
			{"echo6", true, join(ip6(58), icmp(128))},
			{"unreachable", false, join(ip4(1, 0, 0), icmp(3), ip4(6, 0, 4), tcp(20))},
			{"too big", true, join(ip6(58), icmp(2), ip6(6), tcp(20))},
			{"later fragment", false, ip4(6, 0x2001, 0)},
			{"later fragment 6", true, join(ip6(44), frag6(6, 181))},
		} {
			pkt := w.wrap(inside.v6, inside.ip)
			want := len(pkt)
			if got := run(t, Filter{SnapLen: 256}, ethernet, append(pkt, secret()...)); got != want {
				t.Errorf("%s in %s: kept %d bytes, want the %d of its headers", inside.name, w.name, got, want)
			}
		}
	}
}

// What is not understood gives away otherHeader bytes behind the last header, at most.
func TestFilterKeepsLittleOfTheUnknown(t *testing.T) {
	v4 := func(proto byte, rest ...[]byte) []byte { return join(eth(0x0800), ip4(proto, 0, 0), join(rest...)) }
	v6 := func(next byte, rest ...[]byte) []byte { return join(eth(0x86dd), ip6(next), join(rest...)) }
	inVXLAN := func(rest ...[]byte) []byte { return v4(17, vxlan(4789), join(rest...)) }
	for name, pkt := range map[string][]byte{
		"EtherType": eth(0x88b5), "LLDP": eth(0x88cc), "LLC": eth(100), "three tags": join(eth(0x88a8), tag(5, 0x8100), tag(6, 0x8100), tag(7, 0x0800)),
		"IP protocol": v4(253), "ESP": v6(50), "L2TP": v4(115), "OSPF": v4(89), "IPv6 without next header": v6(59),
		"GRE of PPTP": v4(47, gre(0x3001, 0x880b, 0)), "GRE with routing": v4(47, gre(0x4000, 0x0800, 0)), "ERSPAN": v4(47, gre(0x1000, 0x88be, 4)),
		"VXLAN without its flag": v4(17, ports(8, 1, 4789), payload(8)), "Geneve of version 1": v4(17, ports(8, 1, 6081), []byte{0x40, 0, 0x65, 0x58}),
		"two tunnels": v4(4, ip4(4, 0, 0)), "tunnel in VXLAN": inVXLAN(eth(0x0800), ip4(47, 0, 0)), "EtherType in VXLAN": inVXLAN(eth(0x88b5)),
		"two tags in VXLAN": inVXLAN(eth(0x88a8), tag(1, 0x8100)), "VXLAN in VXLAN": inVXLAN(eth(0x0800), ip4(17, 0, 0), ports(8, 1, 4789)),
		"neither IPv4 nor 6 in IPIP": v4(4), "pseudowire": join(eth(0x8847), mpls(1), payload(4)), "five labels": join(eth(0x8847), mpls(5)),
		"PPP's control": join(eth(0x8864), pppoe(0xc021)), "unknown ICMP": v4(1, icmp(40)), "MLD": v6(58, icmp(131)), "node information": v6(58, icmp(139)),
		"redirect": v6(58, icmp(137), payload(40)), "router's advertisement": v6(58, icmp(134), payload(8)), "QUIC": v4(17, ports(8, 1, 443)),
		"WireGuard": v4(17, ports(8, 1, 51820)), "SCTP": v4(132, ports(16, 1, 2)), "AH": v4(51), "Ethernet of nothing": eth(0),
	} {
		for _, raw := range []bool{false, true} {
			kind, packet := ethernet, pkt
			if raw {
				if binary.BigEndian.Uint16(pkt[12:]) != 0x0800 && binary.BigEndian.Uint16(pkt[12:]) != 0x86dd {
					continue
				}
				kind, packet = rawIP, pkt[14:]
			}
			got := run(t, Filter{}, kind, append(bytes.Clone(packet), secret()...))
			if got == 0 || got > len(packet)+otherHeader {
				t.Errorf("%s (raw %v): kept %d bytes, of which %d are headers", name, raw, got, len(packet))
			}
		}
	}
}

// What stands behind a packet in its frame is not kept, though a header may claim it; nor is
// what an error quotes of a later fragment, nor of the slow protocols any but LACP's fields.
func TestFilterKeepsNoPadding(t *testing.T) {
	long := func(header []byte, at, n int) []byte { // with its length field
		binary.BigEndian.PutUint16(header[at:], uint16(n))
		return header
	}
	session := func(n int, ip []byte) []byte { return join(eth(0x8864), long(pppoe(0x0021), 4, n), ip) }
	for name, c := range map[string]struct {
		frame []byte
		more  int // bytes that are kept behind it
	}{
		"empty DNS":            {join(eth(0x0800), long(ip4(17, 0, 0), 2, 28), ports(8, 1, 53)), 0},
		"empty DNS 6":          {join(eth(0x86dd), long(ip6(17), 4, 8), ports(8, 1, 53)), 0},
		"half a TCP header":    {join(eth(0x0800), long(ip4(6, 0, 0), 2, 30), tcp(40)[:10]), 0},
		"unknown protocol":     {join(eth(0x0800), long(ip4(253, 0, 0), 2, 25), []byte("12345")), 0},
		"in a session":         {session(2+28, join(ip4(17, 0, 0), ports(8, 1, 53))), 0},
		"below a label":        {join(eth(0x8847), mpls(1), long(ip4(17, 0, 0), 2, 28), ports(8, 1, 53)), 0},
		"below a label 6":      {join(eth(0x8847), mpls(2), long(ip6(17), 4, 8), ports(8, 1, 53)), 0},
		"BIG TCP":              {join(eth(0x86dd), long(ip6(0), 4, 0), ext(6, 8), tcp(32)), 0},
		"denied length":        {join(eth(0x0800), long(ip4(17, 0, 0), 2, 0)), 0},
		"nothing":              {join(eth(0x86dd), long(ip6(59), 4, 0)), 0},
		"ARP":                  {join(eth(0x0806), payload(28)), 0},
		"quoted fragment":      {join(eth(0x0800), ip4(1, 0, 0), icmp(3), ip4(6, 185, 0)), 0},
		"LACP":                 {join(eth(0x8809), []byte{1}), lacpMessage - 1},
		"link OAM":             {join(eth(0x8809), []byte{3}), otherHeader - 1},
		"slow without subtype": {eth(0x8809), otherHeader},
	} {
		behind := secret()
		if name == "BIG TCP" {
			behind = payload(70_000)
		}
		if got := run(t, Filter{}, ethernet, join(c.frame, behind)); got != len(c.frame)+c.more {
			t.Errorf("%s: kept %d bytes, want %d", name, got, len(c.frame)+c.more)
		}
		if got := run(t, Filter{Payload: 500}, ethernet, join(c.frame, secret())); name == "empty DNS" && got != len(c.frame) {
			t.Errorf("%s: kept %d bytes as payload, of which there is none", name, got-len(c.frame))
		}
	}
}

// A port is looked for inside an encapsulation, too, and one that was asked for by its own
// port keeps all that it holds.
func TestFilterRestrictsInside(t *testing.T) {
	https, other := tcp(20), join(ports(12, 40000, 80), []byte{0x50, 0, 0, 0, 0, 0, 0, 0})
	vx := func(inner []byte) []byte {
		return join(eth(0x0800), ip4(17, 0, 0), vxlan(4789), eth(0x0800), ip4(6, 0, 0), inner, secret())
	}
	in := func(inner []byte) []byte { return join(eth(0x0800), ip4(4, 0, 0), ip4(6, 0, 0), inner, secret()) }
	port := Filter{Ports: []uint16{443}}
	own := Filter{Ports: []uint16{4789}}
	far := Filter{Peers: []netip.Prefix{netip.MustParsePrefix("172.16.0.0/12")}}
	for _, c := range []struct {
		name string
		f    Filter
		pkt  []byte
		want int
	}{
		{"port in vxlan", port, vx(https), 14 + 20 + 16 + 14 + 20 + 20},
		{"other port in vxlan", port, vx(other), 0},
		{"vxlan's own port", own, vx(other), 14 + 20 + 16 + 14 + 20 + 20},
		{"vxlan's own port, ipip", own, in(other), 0},
		{"port in ipip", port, in(https), 14 + 20 + 20 + 20},
		{"other port in ipip", port, in(other), 0},
		{"unknown in ipip", port, join(eth(0x0800), ip4(4, 0, 0), ip4(50, 0, 0), secret()), 0},
		{"other peer", far, in(https), 0},
		{"unknown frame", port, join(eth(0x88b5), secret()), 0},
		{"pseudowire", port, join(eth(0x8847), mpls(1), payload(64)), 0},
	} {
		if got := run(t, c.f, ethernet, c.pkt); got != c.want {
			t.Errorf("%s: kept %d bytes, want %d", c.name, got, c.want)
		}
	}
}

// Wherever a packet is cut, a load beyond its end would drop it.
func TestFilterKeepsTruncatedTunnels(t *testing.T) {
	for _, w := range wrappings() {
		pkt := w.wrap(true, join(ip6(0), ext(44, 8), frag6(6, 0), tcp(32)))
		for n := range pkt {
			if got := run(t, Filter{}, ethernet, pkt[:n]); got == 0 {
				t.Errorf("%s cut to %d bytes: dropped", w.name, n)
			}
			if got := run(t, Filter{Ports: []uint16{443}}, ethernet, pkt[:n]); n < 14 && got == 0 {
				t.Errorf("%s cut to %d bytes: dropped, though it may be what was asked for", w.name, n)
			}
		}
	}
}

// The kernel takes the programs: it checks what the virtual machine does not, such as
// scratch memory that is read before it is written (net/core/filter.c, check_load_and_stores).
func TestKernelTakesFilters(t *testing.T) {
	for name, f := range map[string]Filter{
		"all": {}, "ports": {Ports: []uint16{443, 4789}}, "peers": {Peers: []netip.Prefix{netip.MustParsePrefix("2001:db8::/32"), netip.MustParsePrefix("10.0.0.0/8")}},
		"both": {Ports: []uint16{80}, Peers: []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")}},
	} {
		for _, kind := range []linkKind{ethernet, rawIP} {
			f, err := f.withDefaults()
			if err != nil {
				t.Fatal(err)
			}
			code, err := f.compile(kind)
			if err != nil {
				t.Fatal(err)
			}
			if err := attachTo(t, code); err != nil {
				t.Errorf("%s, link %v, %d instructions: %v", name, kind, len(code), err)
			}
		}
	}
}

// Kernels before 6.8 charge a socket's filter to 20 KiB (net.core.optmem_max), as the kernel
// has translated it: two or three times what is given. The default, and what an operator would ask for, fit; what does not is told so, and
// not that the ring is too large.
func TestFilterFitsOldKernels(t *testing.T) {
	testns.Run(t, func() {
		if err := os.WriteFile("/proc/sys/net/core/optmem_max", []byte("20480"), 0); err != nil && !old(t) {
			t.Skipf("the limit is the machine's here, not the namespace's: %v", err)
		}
		peers := []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("2001:db8::/32")}
		for _, f := range []Filter{{}, {Ports: []uint16{443}}, {Ports: []uint16{80, 443, 8080, 8443}}, {Peers: peers}, {Ports: []uint16{443}, Peers: peers}} {
			for _, kind := range []linkKind{ethernet, rawIP} {
				f, err := f.withDefaults()
				if err != nil {
					t.Fatal(err)
				}
				code, err := f.compile(kind)
				if err != nil {
					t.Fatal(err)
				}
				if err := attachTo(t, code); err != nil {
					t.Errorf("%v %v, link %v, %d instructions: %v", f.Ports, f.Peers, kind, len(code), err)
				}
			}
		}
		f := Filter{}
		for p := range uint16(150) {
			f.Ports = append(f.Ports, 8000+p)
		}
		_, err := OpenSet(SetConfig{Way: TPacket, Interfaces: []string{"lo"}, Bytes: 1 << 20, Filter: f})
		if open := (*OpenError)(nil); !errors.As(err, &open) || !strings.Contains(err.Error(), "net.core.optmem_max") || !strings.Contains(open.Hint(), "fewer --port") {
			t.Errorf("a filter that is too long: %v", err)
		}
	})
}

// old says whether the limit is an old kernel's own, which namespaces do not set.
func old(t *testing.T) bool {
	t.Helper()
	text, err := os.ReadFile("/proc/sys/net/core/optmem_max")
	return err == nil && strings.TrimSpace(string(text)) == "20480"
}

// attachTo gives a program to a socket that receives nothing; no privilege is needed.
func attachTo(t *testing.T, code []bpf.Instruction) error {
	t.Helper()
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(fd)
	return attach(fd, code)
}
