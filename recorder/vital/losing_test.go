//go:build linux

package vital

import (
	"net/netip"
	"testing"

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
		others      float64 // of what is sent again
	}{
		{"a copy", 1, 8, 200 << 20, 1, 0},
		{"two copies", 2, 8, 200 << 20, 2, 0.5},
		{"a browser's pages", 1, 6, 100_000, 6, 1},
		{"users who download films", 20, 1, 5 << 20, 20, 0.95},
		{"what a proxy has open", 1, 60, 5 << 20, 1 + 60 - 16, 1},
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
		if n, share, err := p.lose(); err != nil || n != c.want || share != c.others {
			t.Errorf("%s: %v connections lose, and others send %v of it again, want %v and %v (%v)", c.story, n, share, c.want, c.others, err)
		}
		if n, err := p.slow(); err != nil || n != c.want {
			t.Errorf("%s: %v connections are late, want %v (%v)", c.story, n, c.want, err)
		}
	}
}
