package evidence

import (
	"testing"

	"github.com/spikebox/spikebox/analyzer/packet"
)

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
	} {
		if got := Unseen(c.stats.Undecoded()); got != c.want {
			t.Errorf("%q, want %q", got, c.want)
		}
	}
}
