//go:build linux

package recorder_test

import (
	"crypto/tls"
	"fmt"
	"net"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/spikebox/spikebox/recorder/internal/testns"
)

// talk has real programs say what people say: by HTTP, and the beginning of TLS.
func (g *garden) talk() {
	const port = "8087"
	var l net.Listener
	var err error
	testns.Do(g.t, g.here.NS, func() { l, err = net.Listen("tcp4", g.here.Addr+":"+port) })
	g.must(err)
	header, body := g.plant("HTTP response header", false), g.plant("HTTP response body", false)
	server := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Set-Cookie", "session="+header)
		fmt.Fprint(w, body)
	})}
	go server.Serve(l)
	g.t.Cleanup(func() { server.Close() })
	dial := func() (c net.Conn) {
		testns.Do(g.t, g.there.NS, func() { c, err = net.Dial("tcp4", l.Addr().String()) })
		g.must(err, c.SetDeadline(time.Now().Add(patience)))
		return c
	}
	c := dial()
	content := g.plant("HTTP request body", false)
	_, err = fmt.Fprintf(c, "POST /%s HTTP/1.1\r\nHost: %s\r\nCookie: %s\r\nAuthorization: %s\r\nContent-Length: %d\r\nConnection: close\r\n\r\n%s",
		g.plant("HTTP path", false), g.plant("HTTP host", false), g.plant("HTTP cookie", false), g.plant("HTTP header", false), len(content), content)
	g.must(err)
	if answer := make([]byte, 4096); true {
		n, err := c.Read(answer)
		if g.must(err); !strings.Contains(string(answer[:n]), header) {
			g.t.Fatalf("the server answers %q", answer[:n])
		}
	}
	c.Close()
	c = dial()
	defer c.Close()
	if err := tls.Client(c, &tls.Config{ServerName: g.plant("TLS server name", false) + ".example"}).Handshake(); err == nil {
		g.t.Fatal("a server without TLS finished a handshake")
	}
}

// The hand-made packets: every function gives bytes that go before others. Lengths are true,
// checksums are not: the tap is before who looks at them.

func u16(v int) []byte { return []byte{byte(v >> 8), byte(v)} }

func cat(parts ...[]byte) []byte { return slices.Concat(parts...) }

func ipv4(proto byte, frag int, options []byte, inside ...[]byte) []byte {
	rest := cat(inside...)
	return cat([]byte{byte(4<<4 | 5 + len(options)/4), 0}, u16(20+len(options)+len(rest)), u16(7), u16(frag), []byte{64, proto, 0, 0},
		[]byte{10, 90, 0, 2, 10, 90, 0, 1}, options, rest)
}

func ipv6(next byte, inside ...[]byte) []byte {
	rest := cat(inside...)
	return cat([]byte{6 << 4, 0, 0, 0}, u16(len(rest)), []byte{next, 255}, net.ParseIP("fd90::2"), net.ParseIP("fd90::1"), rest)
}

func udp(port int, inside ...[]byte) []byte {
	rest := cat(inside...)
	return cat(u16(40000), u16(port), u16(8+len(rest)), u16(0), rest)
}

// segment is TCP with some options, a multiple of four bytes.
func segment(flags byte, options []byte, inside ...[]byte) []byte {
	return cat(u16(40000), u16(7), make([]byte, 8), []byte{byte(5+len(options)/4) << 4, flags}, u16(1000), u16(0), u16(1), options, cat(inside...))
}

func icmp(kind byte, inside ...[]byte) []byte {
	return cat([]byte{kind, 0, 0, 0, 0, 1, 0, 1}, cat(inside...))
}

func zeros(n int) []byte { return make([]byte, n) }

// planted are frames with a token in each.
var planted = []struct {
	where   string
	allowed bool
	kind    int // EtherType
	packet  func(token []byte) []byte
}{
	{"TCP data", false, 0x0800, func(k []byte) []byte { return ipv4(6, 0, nil, segment(0x18, nil, k)) }},
	{"TCP data of a SYN", false, 0x0800, func(k []byte) []byte { return ipv4(6, 0, nil, segment(0x02, nil, k)) }},
	{"TCP urgent data", false, 0x0800, func(k []byte) []byte { return ipv4(6, 0, nil, segment(0x38, nil, k)) }},
	{"TCP option", true, 0x0800, func(k []byte) []byte { return ipv4(6, 0, nil, segment(0x02, cat([]byte{34, 16}, k, zeros(14-len(k))))) }},
	{"IPv4 option", true, 0x0800, func(k []byte) []byte { return ipv4(17, 0, cat([]byte{30, 16}, k, zeros(14-len(k))), udp(7)) }},
	{"UDP data", false, 0x0800, func(k []byte) []byte { return ipv4(17, 0, nil, udp(9999, k)) }},
	{"DNS question", false, 0x0800, func(k []byte) []byte { return ipv4(17, 0, nil, udp(53, zeros(12), []byte{byte(len(k))}, k, zeros(5))) }},
	{"DNS answer over IPv6", false, 0x86dd, func(k []byte) []byte { return ipv6(17, udp(53, zeros(12), zeros(20), k)) }},
	{"mDNS", false, 0x0800, func(k []byte) []byte { return ipv4(17, 0, nil, udp(5353, zeros(12), k)) }},
	{"DHCP host name", false, 0x0800, func(k []byte) []byte { return ipv4(17, 0, nil, udp(67, zeros(240), []byte{12, byte(len(k))}, k)) }},
	{"server name in QUIC", false, 0x0800, func(k []byte) []byte { return ipv4(17, 0, nil, udp(443, []byte{0xc0, 0, 0, 0, 1}, k)) }},
	{"GTP-U", false, 0x0800, func(k []byte) []byte { return ipv4(17, 0, nil, udp(2152, zeros(8), ipv4(17, 0, nil, udp(7, k)))) }},
	{"first fragment", false, 0x0800, func(k []byte) []byte { return ipv4(17, 0x2000, nil, udp(7, k)) }},
	{"later fragment", false, 0x0800, func(k []byte) []byte { return ipv4(6, 0x0001, nil, k) }},
	{"later fragment of IPv6", false, 0x86dd, func(k []byte) []byte { return ipv6(44, []byte{6, 0, 0, 8, 0, 0, 0, 1}, k) }},
	{"IPv6 extension header", true, 0x86dd, func(k []byte) []byte { return ipv6(0, []byte{17, 1}, []byte{30, 12}, k, zeros(12-len(k)), udp(7)) }},
	{"behind IPv6 extension headers", false, 0x86dd, func(k []byte) []byte {
		return ipv6(0, []byte{60, 0, 1, 4, 0, 0, 0, 0, 6, 0, 1, 4, 0, 0, 0, 0}, segment(0x10, nil, k))
	}},
	{"data of an echo", false, 0x0800, func(k []byte) []byte { return ipv4(1, 0, nil, icmp(8, k)) }},
	{"data of an echo over IPv6", false, 0x86dd, func(k []byte) []byte { return ipv6(58, icmp(128, k)) }},
	{"quoted TCP data", false, 0x0800, func(k []byte) []byte { return ipv4(1, 0, nil, icmp(3, ipv4(6, 0, nil, segment(0x10, nil, k)))) }},
	{"quoted UDP data", false, 0x86dd, func(k []byte) []byte { return ipv6(58, icmp(1, ipv6(17, udp(7, k)))) }},
	{"quoted fragment", false, 0x0800, func(k []byte) []byte { return ipv4(1, 0, nil, icmp(3, ipv4(6, 0x0001, nil, k))) }},
	{"search domain of a router", false, 0x86dd, func(k []byte) []byte {
		return ipv6(58, icmp(134, zeros(8), []byte{31, 4, 0, 0, 0, 0, 0, 9, byte(len(k))}, k, zeros(23-len(k))))
	}},
	{"SCTP data", false, 0x0800, func(k []byte) []byte { return ipv4(132, 0, nil, zeros(12), []byte{0, 3}, u16(16+len(k)), zeros(12), k) }},
	{"VLAN", false, 0x8100, func(k []byte) []byte { return cat(u16(7), u16(0x0800), ipv4(6, 0, nil, segment(0x18, nil, k))) }},
	{"QinQ", false, 0x88a8, func(k []byte) []byte {
		return cat(u16(7), u16(0x8100), u16(8), u16(0x86dd), ipv6(17, udp(7, k)))
	}},
	{"IP in IP", false, 0x0800, func(k []byte) []byte { return ipv4(4, 0, nil, ipv4(6, 0, nil, segment(0x18, nil, k))) }},
	{"GRE", false, 0x0800, func(k []byte) []byte { return ipv4(47, 0, nil, u16(0), u16(0x0800), ipv4(17, 0, nil, udp(7, k))) }},
	{"VXLAN", false, 0x0800, func(k []byte) []byte {
		return ipv4(17, 0, nil, udp(4789, []byte{8, 0, 0, 0, 0, 0, 7, 0}, zeros(12), u16(0x0800), ipv4(6, 0, nil, segment(0x18, nil, k))))
	}},
	{"Geneve", false, 0x86dd, func(k []byte) []byte {
		return ipv6(17, udp(6081, u16(0), u16(0x6558), zeros(4), zeros(12), u16(0x86dd), ipv6(6, segment(0x18, nil, k))))
	}},
	{"PPPoE", false, 0x8864, func(k []byte) []byte {
		inside := ipv4(6, 0, nil, segment(0x18, nil, k))
		return cat([]byte{0x11, 0, 0, 1}, u16(2+len(inside)), u16(0x0021), inside)
	}},
	{"MPLS", false, 0x8847, func(k []byte) []byte { return cat([]byte{0, 1, 1, 64}, ipv4(17, 0, nil, udp(7, k))) }},
	{"tunnel in a tunnel, at its begin", true, 0x0800, func(k []byte) []byte { return ipv4(4, 0, nil, ipv4(47, 0, nil, k)) }},
	{"tunnel in a tunnel", false, 0x0800, func(k []byte) []byte { return ipv4(4, 0, nil, ipv4(47, 0, nil, zeros(16), k)) }},
	{"unknown protocol, at its begin", true, 0x0800, func(k []byte) []byte { return ipv4(253, 0, nil, k) }},
	{"unknown protocol", false, 0x0800, func(k []byte) []byte { return ipv4(253, 0, nil, zeros(16), k) }},
	{"unknown EtherType, at its begin", true, 0x88b5, func(k []byte) []byte { return k }},
	{"unknown EtherType", false, 0x88b5, func(k []byte) []byte { return cat(zeros(16), k) }},
	{"LLC", false, 40, func(k []byte) []byte { return cat([]byte{0xaa, 0xaa, 3}, zeros(16), k, zeros(21-len(k))) }},
	{"LLDP", false, 0x88cc, func(k []byte) []byte { return cat(zeros(16), k) }},
	{"link OAM", false, 0x8809, func(k []byte) []byte { return cat([]byte{3}, zeros(16), k) }},
	{"padding behind ARP", false, 0x0806, func(k []byte) []byte { return cat(zeros(28), k) }},
	{"padding behind TCP", false, 0x0800, func(k []byte) []byte { return cat(ipv4(6, 0, nil, segment(0x10, nil)), k) }},
	{"padding behind DNS", false, 0x0800, func(k []byte) []byte { return cat(ipv4(17, 0, nil, udp(53)), k) }},
	{"padding behind IPv6", false, 0x86dd, func(k []byte) []byte { return cat(ipv6(59), k) }},
}

// send puts the frames on the wire to the recorder's host.
func (g *garden) send() {
	link, err := netlink.LinkByName(g.there.Link)
	g.must(err)
	fd, err := unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC, 0)
	g.must(err)
	defer unix.Close(fd)
	var to net.HardwareAddr
	testns.Do(g.t, g.here.NS, func() {
		l, err := netlink.LinkByName(g.here.Link)
		g.must(err)
		to = l.Attrs().HardwareAddr
	})
	for _, p := range planted {
		frame := cat(to, link.Attrs().HardwareAddr, u16(p.kind), p.packet([]byte(g.plant(p.where, p.allowed))))
		g.must(unix.Sendto(fd, frame, 0, &unix.SockaddrLinklayer{Ifindex: link.Attrs().Index}))
	}
}
