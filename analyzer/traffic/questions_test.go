package traffic

import (
	"net/netip"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/spikebox/spikebox/analyzer/packet"
)

// Each line is a datagram between a host and its name server at a time in ms; a capture ends at 10 s.
func TestNames(t *testing.T) {
	type line struct {
		at     int64
		port   uint16 // of the host
		answer bool
		iface  uint16
	}
	ask, answer := func(at int64, port uint16) line { return line{at: at, port: port} }, func(at int64, port uint16) line { return line{at: at, port: port, answer: true} }
	for _, c := range []struct {
		name               string
		lines              []line
		asked, late, never uint32
		most               int64 // ms
	}{
		{"answered", []line{ask(100, 1), answer(130, 1)}, 1, 0, 0, 30},
		{"both families by one socket", []line{ask(100, 1), ask(100, 1), answer(120, 1), answer(130, 1)}, 2, 0, 0, 30},
		{"late", []line{ask(100, 1), answer(2100, 1)}, 1, 1, 0, 2000},
		{"never", []line{ask(100, 1)}, 1, 0, 1, 0},
		{"it may still be answered", []line{ask(100, 1), answer(110, 1), ask(9500, 2)}, 1, 0, 0, 10},
		{"one lost on a socket that goes on", []line{ask(100, 1), ask(3000, 1), answer(3010, 1), ask(6000, 1), answer(6020, 1)}, 3, 0, 1, 20},
		{"asked again by the same socket", []line{ask(100, 1), ask(5100, 1), answer(5110, 1)}, 2, 0, 1, 10},
		{"seen on two interfaces", []line{ask(100, 1), {at: 100, port: 1, iface: 1}, {130, 1, true, 1}, answer(130, 1)}, 1, 0, 0, 30},
		{"an answer to what was asked before the capture", []line{answer(5, 1)}, 0, 0, 0, 0},
	} {
		host, server := netip.MustParseAddr("192.0.2.10"), netip.MustParseAddr("10.0.0.53")
		var n Names
		for _, l := range c.lines {
			p := packet.Packet{Kind: packet.UDP, Time: l.at * 1e6, Src: addr(host), Dst: addr(server), SrcPort: l.port, DstPort: 53, Interface: l.iface}
			if l.answer {
				p.Src, p.Dst, p.SrcPort, p.DstPort = p.Dst, p.Src, p.DstPort, p.SrcPort
			}
			n.Add(&p)
		}
		var asked, late, never uint32
		var most int64
		for _, r := range n.List(10e9) {
			if r.Asker != host || r.Server != server {
				t.Errorf("%s: %v asks %v", c.name, r.Asker, r.Server)
			}
			most = r.Most / 1e6
			for _, q := range r.Seconds {
				asked, late, never = asked+q.Asked, late+q.Late, never+q.Never
			}
		}
		if diff := cmp.Diff([]any{c.asked, c.late, c.never, c.most}, []any{asked, late, never, most}); diff != "" {
			t.Errorf("%s: questions, late, never, longest in ms (-want +got):\n%s", c.name, diff)
		}
	}
}

func addr(a netip.Addr) (b packet.Addr) {
	v4 := a.As4()
	copy(b[:], v4[:])
	return b
}
