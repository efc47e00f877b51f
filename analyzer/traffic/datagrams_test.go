package traffic

import (
	"net/netip"
	"testing"

	"github.com/spikebox/spikebox/analyzer/packet"
)

// A flood of datagrams from made-up addresses is a question each. What finds no room is let go, and not each of them looks through all others
// for one that is over: two million took minutes.
func TestFloodOfDatagrams(t *testing.T) {
	var d Datagrams
	n := 0
	add := func(at int64) {
		n++
		d.Add(&packet.Packet{Kind: packet.UDP, Time: at, Src: addr(netip.AddrFrom4([4]byte{10, byte(n >> 16), byte(n >> 8), byte(n)})),
			Dst: addr(netip.MustParseAddr("192.0.2.10")), SrcPort: 4000, DstPort: 514})
	}
	const over = talkEnds + 1
	for range maxTalks {
		add(0)
	}
	add(0) // looks, and finds none that is over
	for range walkEach - 1 {
		add(over)
	}
	if len(d.talks) != maxTalks {
		t.Fatalf("%d talks after as many refused as one look is for, want %d", len(d.talks), maxTalks)
	}
	add(over)
	if len(d.talks) != 1 {
		t.Errorf("%d talks after the next look, want the one that it was for", len(d.talks))
	}
}
