package evidence

import (
	"net/netip"
	"strings"
	"testing"

	"github.com/spikebox/spikebox/analyzer/handshake"
	"github.com/spikebox/spikebox/analyzer/packet"
	"github.com/spikebox/spikebox/analyzer/rtt"
	"github.com/spikebox/spikebox/analyzer/traffic"
	"github.com/spikebox/spikebox/format/member"
)

// packetAddr writes an IPv4 address as packets hold it.
func packetAddr(text string) (a packet.Addr) {
	copy(a[:], netip.MustParseAddr(text).AsSlice())
	return a
}

// This host's addresses come of the SYNs that it sends and gets, and of its sockets; a
// capture without directions tells none, and then no service has a way.
func TestLocalAddresses(t *testing.T) {
	syn := func(dir packet.Dir, flags packet.Flags) *packet.Packet {
		return &packet.Packet{Kind: packet.TCP, Dir: dir, Flags: flags,
			Src: packetAddr("192.0.2.1"), Dst: packetAddr("192.0.2.2")}
	}
	socket := member.Socket{Local: netip.MustParseAddr("::ffff:192.0.2.3")}
	for name, tt := range map[string]struct {
		packet  *packet.Packet
		sockets []member.Socket
		local   string
	}{
		"sent":             {syn(packet.DirOut, packet.SYN), nil, "192.0.2.1"},
		"received":         {syn(packet.DirIn, packet.SYN), nil, "192.0.2.2"},
		"no direction":     {syn(packet.DirUnknown, packet.SYN), nil, ""},
		"no SYN":           {syn(packet.DirIn, packet.ACK), nil, ""},
		"a socket":         {syn(packet.DirIn, packet.ACK), []member.Socket{socket}, "192.0.2.3"},
		"a socket for all": {syn(packet.DirIn, packet.ACK), []member.Socket{{Local: netip.MustParseAddr("0.0.0.0")}}, ""},
	} {
		p := &Packets{Local: map[netip.Addr]bool{}, trips: &rtt.Peers{}, sums: &traffic.Sums{}}
		for _, host := range []string{"192.0.2.1", "192.0.2.2", "192.0.2.3"} {
			p.Services = append(p.Services, &handshake.Service{Server: netip.AddrPortFrom(netip.MustParseAddr(host), 80)})
		}
		p.see(tt.packet)
		p.ways(tt.sockets, nil, nil, true)
		for _, s := range p.Services {
			want := handshake.Outbound
			switch tt.local {
			case "":
				want = handshake.WayUnknown
			case s.Server.Addr().String():
				want = handshake.Inbound
			}
			if s.Way != want {
				t.Errorf("%s: %s is %q, want %q", name, s.Server, s.Way, want)
			}
		}
	}
}

// A bare capture names no host as its own, whatever directions say: on a router what came in was for others.
func TestBareCaptureHasNoHost(t *testing.T) {
	p := &Packets{Local: map[netip.Addr]bool{}, trips: &rtt.Peers{}, sums: &traffic.Sums{}}
	p.Services = []*handshake.Service{{Server: netip.MustParseAddrPort("192.0.2.2:80")}}
	p.see(&packet.Packet{Kind: packet.TCP, Dir: packet.DirIn, Flags: packet.SYN, Src: packetAddr("192.0.2.1"), Dst: packetAddr("192.0.2.2")})
	p.ways(nil, nil, nil, false)
	if way := p.Services[0].Way; len(p.Local) > 0 || way != handshake.WayUnknown {
		t.Errorf("%q to one of %v, want no way and no address", way, p.Local)
	}
}

// The window of a capture is that of its packets, also where they are out of order, and
// a router's addresses are bounded.
func TestSeen(t *testing.T) {
	p := &Packets{Local: map[netip.Addr]bool{}}
	addr := netip.MustParseAddr("10.0.0.0")
	for i := range maxLocal + 3 {
		addr = addr.Next()
		p.see(&packet.Packet{Time: int64(100 + i%3), Kind: packet.TCP, Dir: packet.DirIn, Flags: packet.SYN, Dst: packetAddr(addr.String())})
	}
	p.see(&packet.Packet{Time: 101})
	if p.First != 100 || p.Last != 102 || len(p.Local) != maxLocal {
		t.Errorf("from %d to %d with %d addresses, want from 100 to 102 with %d", p.First, p.Last, len(p.Local), maxLocal)
	}
}

// The advice fits what hides most.
func TestNext(t *testing.T) {
	for _, c := range []struct {
		stats packet.Stats
		want  string
	}{
		{packet.Stats{Opaque: map[packet.Opaque]uint64{packet.InWireGuard: 2}, Links: map[uint32]uint64{105: 1}}, "wg0"},
		{packet.Stats{Opaque: map[packet.Opaque]uint64{packet.InWireGuard: 1}, Links: map[uint32]uint64{105: 2}}, "Wi-Fi"},
		{packet.Stats{Kinds: map[packet.Kind]uint64{packet.ShortTCP: 2}, Links: map[uint32]uint64{105: 1}}, "tcpdump -s"},
		{packet.Stats{Kinds: map[packet.Kind]uint64{packet.ShortIP: 1}, Protos: map[uint8]uint64{112: 9}}, "tcpdump -s"},
	} {
		if got := (&Packets{Undecoded: c.stats.Undecoded()}).MostHidden().Next(); !strings.Contains(got, c.want) {
			t.Errorf("%+v: %q, want %q", c.stats, got, c.want)
		}
	}
}

// What may hide connections is told in one clause; what hides none is left out of it.
func TestUnseen(t *testing.T) {
	for _, c := range []struct {
		stats packet.Stats
		want  string
	}{
		{packet.Stats{}, ""},
		{packet.Stats{Protos: map[uint8]uint64{112: 9}, Ether: map[uint16]uint64{0x88cc: 2}}, ""},
		{packet.Stats{Opaque: map[packet.Opaque]uint64{packet.InWireGuard: 1}}, "1 packet in WireGuard was not looked into"},
		{packet.Stats{
			Opaque: map[packet.Opaque]uint64{packet.InWireGuard: 1200, packet.InESP: 4}, Links: map[uint32]uint64{147: 3},
			Kinds: map[packet.Kind]uint64{packet.TCP: 8, packet.ShortIP: 2},
		}, "1,200 packets in WireGuard, 4 in ESP, 3 of link type 147 and 2 cut within the IP header were not looked into"},
		{packet.Stats{Links: map[uint32]uint64{105: 7}}, "7 packets of link type 105 (802.11) were not looked into"},
	} {
		if got := Unseen(c.stats.Undecoded()); got != c.want {
			t.Errorf("%q, want %q", got, c.want)
		}
	}
}
