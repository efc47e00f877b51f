package dissect

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"io"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/spikebox/spikebox/analyzer/internal/captures"
	"github.com/spikebox/spikebox/analyzer/internal/pkt"
	"github.com/spikebox/spikebox/analyzer/packet"
)

// records calls f for every packet of a capture.
func records(t *testing.T, name string, r io.Reader, f func(*packet.Record, *packet.Interface)) (n int) {
	t.Helper()
	all, err := packet.OpenRecords(packet.Input{Name: name, Reader: r})
	if err != nil {
		t.Fatal(err)
	}
	defer all.Close()
	var rec packet.Record
	for {
		switch err := all.Next(&rec); {
		case err == io.EOF:
			return n
		case err != nil:
			t.Fatal(err)
		}
		n++
		f(&rec, &all.Interfaces()[rec.Interface])
	}
}

func open(t *testing.T, path string) io.Reader {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return bytes.NewReader(b)
}

var tcpLine = regexp.MustCompile(`^(\S+) > (\S+) TCP \[(\S*)\] seq (\d+)(?: ack (\d+))? win (\d+) len (\d+)`)

// What a line says of a TCP segment is what tshark says.
func TestLinesAreTsharks(t *testing.T) {
	if _, err := exec.LookPath("tshark"); err != nil && os.Getenv("CI") == "true" {
		t.Fatal(err)
	} else if err != nil {
		t.Skip("needs tshark: apt-get install tshark")
	}
	for _, path := range captures.Ours(t, "linux-6.18/*.pcap*") {
		out, err := exec.Command("tshark", "-r", path, "-T", "fields", "-E", "separator= ", "-e", "ip.src", "-e", "tcp.srcport", "-e", "ip.dst", "-e", "tcp.dstport",
			"-e", "tcp.seq_raw", "-e", "tcp.ack_raw", "-e", "tcp.window_size_value", "-e", "tcp.len").Output()
		if err != nil {
			t.Fatal(err)
		}
		want := strings.Split(strings.TrimRight(string(out), "\n"), "\n")
		i, compared := 0, 0
		records(t, path, open(t, path), func(rec *packet.Record, iface *packet.Interface) {
			line := Summary(rec, iface.LinkType)
			if m := tcpLine.FindStringSubmatch(line); m != nil {
				ack := m[5]
				if ack == "" {
					ack = "0"
				}
				got := fmt.Sprintf("%s %s %s %s %s %s", strings.Replace(m[1], ":", " ", 1), strings.Replace(m[2], ":", " ", 1), m[4], ack, m[6], m[7])
				if got != want[i] {
					t.Errorf("%s, frame %d: %q, tshark %q", filepath.Base(path), rec.Frame, got, want[i])
				}
				compared++
			}
			i++
		})
		if i != len(want) || compared == 0 {
			t.Errorf("%s: %d packets, %d of them TCP; tshark has %d", path, i, compared, len(want))
		}
	}
}

// A slice of all packets holds all packets, byte for byte.
func TestSliceHoldsThePackets(t *testing.T) {
	type kept struct {
		time       int64
		name, data string
		wire       uint32
	}
	inputs := map[string]io.Reader{"sll2": bytes.NewReader(pkt.Pcap(binary.LittleEndian, true, linkSLL2, pkt.Record{Time: 1e18, Data: sll2(syn().IP())}))}
	for _, path := range captures.Ours(t, "linux-6.18/*.pcap*") {
		inputs[path] = open(t, path)
	}
	for path, input := range inputs {
		var file bytes.Buffer
		slice := NewSlice(&file)
		var before []kept
		records(t, path, input, func(rec *packet.Record, iface *packet.Interface) {
			data, wire := rec.Data, rec.WireLen
			if iface.LinkType == linkSLL2 {
				data, wire = cooked(data), wire-4
			}
			before = append(before, kept{rec.Time, iface.Name, string(data), wire})
			if err := slice.Write(rec, iface); err != nil {
				t.Fatal(err)
			}
		})
		if err := slice.Flush(); err != nil {
			t.Fatal(err)
		}
		i := 0
		records(t, path, &file, func(rec *packet.Record, iface *packet.Interface) {
			if after := (kept{rec.Time, iface.Name, string(rec.Data), rec.WireLen}); after != before[i] {
				t.Errorf("%s, frame %d: %+v, was %+v", path, rec.Frame, after, before[i])
			}
			i++
		})
		if i != len(before) || i != slice.N {
			t.Errorf("%s: %d packets of %d, %d said", path, i, len(before), slice.N)
		}
	}
}

func syn() pkt.TCP {
	return pkt.TCP{Src: netip.MustParseAddrPort("192.0.2.7:41000"), Dst: netip.MustParseAddrPort("192.0.2.1:443"), Seq: 7, Flags: uint8(packet.SYN), Window: 100}
}

// sll2 puts the header of LINKTYPE_LINUX_SLL2 before an IPv4 packet that came in on Ethernet.
func sll2(ip []byte) []byte {
	return append([]byte{8, 0, 0, 0, 0, 0, 0, 2, 0, 1, 0, 6, 2, 0, 0, 0, 0, 1, 0, 0}, ip...)
}

// Every kind of packet has its line, cut ones too, and none ends the program.
func TestLines(t *testing.T) {
	a, b := netip.MustParseAddr("10.0.0.1"), netip.MustParseAddr("10.0.0.2")
	const tcp = "192.0.2.7:41000 > 192.0.2.1:443 TCP [SYN] seq 7 win 100 len 0"
	vxlan := append([]byte{8, 0, 0, 0, 0, 0, 12, 0}, syn().Frame()...)
	unreachable := append([]byte{3, 1, 0, 0, 0, 0, 0, 0}, syn().IP()...)
	arp := []byte{0, 1, 8, 0, 6, 4, 0, 1, 2, 0, 0, 0, 0, 1, 10, 0, 0, 1, 0, 0, 0, 0, 0, 0, 10, 0, 0, 2}
	for _, c := range []struct {
		link uint32
		data []byte
		want string
	}{
		{1, syn().Frame(), tcp},
		{101, syn().IP(), tcp},
		{12, syn().IP(), tcp},
		{linkSLL2, sll2(syn().IP()), tcp},
		{1, pkt.Ethernet(0x8100, pkt.VLAN(7, 0x0800, syn().IP())), "VLAN 7: " + tcp},
		{1, pkt.Ethernet(0x0800, pkt.IPv4(a, b, 17, 1, 0, pkt.UDP(5000, 4789, vxlan))), "10.0.0.1:5000 > 10.0.0.2:4789, VXLAN 12: " + tcp},
		{1, pkt.Ethernet(0x0800, pkt.IPv4(a, b, 17, 1, 0, pkt.UDP(68, 67, make([]byte, 30)))), "10.0.0.1:68 > 10.0.0.2:67 UDP len 30"},
		{1, pkt.Ethernet(0x0800, pkt.IPv4(a, b, 17, 9, 2, make([]byte, 30))), "10.0.0.1 > 10.0.0.2 fragment of IP packet 9 at 16"},
		{1, pkt.Ethernet(0x0800, pkt.IPv4(a, b, 1, 1, 0, unreachable)), "10.0.0.1 > 10.0.0.2 ICMP DestinationUnreachable(Host) id 0 seq 0 about 192.0.2.7:41000 > 192.0.2.1:443"},
		{1, pkt.Ethernet(0x0806, arp), "ARP who has 10.0.0.2, tell 10.0.0.1"},
		{1, syn().Frame()[:14+20+13], "192.0.2.7 > 192.0.2.1 TCP"}, // its header is cut
		{1, nil, "link type 1, 0 bytes"},
		{linkSLL2, []byte{8}, "link type 276, 1 bytes"},
		{147, syn().Frame(), "link type 147, 54 bytes"},
	} {
		got := ""
		records(t, c.want, bytes.NewReader(pkt.Pcap(binary.LittleEndian, true, c.link, pkt.Record{Data: c.data})), func(rec *packet.Record, iface *packet.Interface) {
			got = Summary(rec, iface.LinkType)
		})
		if got != c.want {
			t.Errorf("link type %d: %q, want %q", c.link, got, c.want)
		}
	}
}

// FuzzSummary looks for bytes that end the program.
func FuzzSummary(f *testing.F) {
	f.Add(uint16(1), syn().Frame())
	f.Add(uint16(linkSLL2), sll2(syn().IP()))
	f.Fuzz(func(t *testing.T, link uint16, data []byte) {
		Summary(&packet.Record{Data: data}, uint32(link))
	})
}
