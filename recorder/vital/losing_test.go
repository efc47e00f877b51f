//go:build linux

package vital

import (
	"net/netip"
	"testing"
	"time"

	"github.com/spikebox/spikebox/recorder/probe"
)

// A copy over some connections is one that loses, or is late, however much; each user is one, and
// each of a pool's many connections.
func TestLosing(t *testing.T) {
	for _, c := range []struct {
		story       string
		addresses   int
		connections int // of each address
		answer      uint64
		want        float64
	}{
		{"a copy", 1, 8, 200 << 20, 1},
		{"two copies", 2, 8, 200 << 20, 2},
		{"a browser's pages", 1, 6, 100_000, 6},
		{"users who download films", 20, 1, 5 << 20, 20},
		{"what a proxy has open", 1, 60, 5 << 20, 1 + 60 - 16},
	} {
		p := NewPeers(nil)
		now, err := monotonic()
		if err != nil {
			t.Fatal(err)
		}
		for a := range c.addresses {
			for n := range c.connections {
				for range 2 { // segments
					remote := netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, 0, 0, byte(a)}), uint16(1000+n))
					p.Heed(&probe.Event{Kind: probe.Retransmit, Time: now, Remote: remote, Answer: c.answer})
					p.Heed(&probe.Event{Kind: probe.LateRTT, Time: now, Remote: remote, Answer: c.answer})
				}
			}
		}
		out := []float64{-1}
		if err := p.readLosing(time.Now(), out); err != nil || out[0] != c.want {
			t.Errorf("%s: %v connections lose, want %v (%v)", c.story, out[0], c.want, err)
		}
		if n, err := p.slow(); err != nil || n != c.want {
			t.Errorf("%s: %v connections are late, want %v (%v)", c.story, n, c.want, err)
		}
	}
}
