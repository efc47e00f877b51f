package taps

import (
	"net/netip"
	"testing"

	"github.com/spikebox/spikebox/analyzer/packet"
)

// A segment that a router cut into fragments passed whole, though its first fragment alone has a TCP header; one that
// never came is lost all the same.
func TestFragmentedOnTheWay(t *testing.T) {
	client, server := netip.MustParseAddrPort("198.51.100.1:30000"), netip.MustParseAddrPort("192.0.2.10:80")
	b := &between{t: New(true), at: 1e12}
	b.passes(0, 1, ends{client, server}, ends{client, server}, packet.SYN, 1000, 0)
	b.passes(1, 0, ends{server, client}, ends{server, client}, packet.SYN|packet.ACK, 7000, 1001)
	const segments, missing, size, first = 20, 5, 1448, 736 // bytes
	for i := range uint32(segments) {
		p := packet.Packet{
			Kind: packet.TCP, Src: addrOf(client), Dst: addrOf(server), SrcPort: client.Port(), DstPort: server.Port(),
			Seq: 1001 + i*size, Ack: 7001, Flags: packet.ACK, Opts: packet.OptTS, TSval: i + 1, Payload: size, Time: b.at + int64(i)*1e6,
		}
		b.t.Add(&p, 0)
		if i == missing {
			continue
		}
		p.Time, p.More, p.Payload = p.Time+1e5, true, first
		b.t.Add(&p, 1)
	}
	b.passes(0, 1, ends{client, server}, ends{client, server}, packet.ACK|packet.FIN, 1001+segments*size, 7001)
	pairs := b.t.Finish()
	if len(pairs) != 1 {
		t.Fatalf("%d pairs of places, want 1", len(pairs))
	}
	if w := &pairs[0].Ways[0]; w.Passed != segments+1 || w.Lost != 1 || w.Unseen+w.Extra > 0 {
		t.Errorf("%d passed, %d lost, %d unseen, %d extra, want %d passed and 1 lost", w.Passed, w.Lost, w.Unseen, w.Extra, segments+1)
	}
}
