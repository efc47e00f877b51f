package flow

import (
	"testing"

	"github.com/spikebox/spikebox/analyzer/packet"
)

// A RST is another machine's only where its headers cannot be those of the side that it speaks for.
func TestForeign(t *testing.T) {
	type rst struct {
		ttl    uint8
		id     uint16
		window uint16
	}
	side := func(ttl uint8, ids ...uint16) *Direction {
		x := &Direction{}
		for _, id := range ids {
			x.hears(&packet.Packet{TTL: ttl, Window: 501, IPID: id, Flags: packet.ACK})
			x.ids.next(id)
		}
		return x
	}
	counting, random, none := []uint16{700, 701, 703, 704, 706, 709}, []uint16{9, 40211, 17, 60001, 300, 22222}, make([]uint16, 6)
	stale := side(57, none...)
	stale.ttlAt = -nearAge - 1
	for name, c := range map[string]struct {
		side *Direction
		rst  rst
		want bool
	}{
		"a firewall with the same initial TTL, nearer":  {side(63, none...), rst{64, 0, 0}, true},
		"nearer, and goes on counting":                  {side(57, counting...), rst{58, 711, 501}, false},
		"nearer, long after the others":                 {stale, rst{58, 0, 0}, false},
		"farther":                                       {side(57, none...), rst{56, 0, 0}, false},
		"its own, of the socket":                        {side(57, counting...), rst{57, 710, 501}, false},
		"its own, of no socket":                         {side(57, counting...), rst{57, 0, 0}, false},
		"its own, of no socket before 4.19":             {side(57, counting...), rst{57, 31012, 0}, false},
		"a path that changed":                           {side(57, counting...), rst{52, 711, 501}, false},
		"another distance":                              {side(57, counting...), rst{250, 5, 0}, true},
		"another distance, IPv6 or no identification":   {side(57, none...), rst{250, 0, 0}, true},
		"TTL security: the socket's own TTL":            {side(255, counting...), rst{64, 0, 0}, false},
		"TTL security, a hop away":                      {side(254, none...), rst{63, 0, 0}, false},
		"a TTL that was set anew, and goes on counting": {side(255, counting...), rst{64, 711, 501}, false},
		"a box of the same kind, two hops nearer":       {side(57, counting...), rst{59, 31012, 8192}, true},
		"numbers that never counted":                    {side(57, random...), rst{57, 31012, 8192}, false},
		"a window that changed":                         {side(57, counting...), rst{57, 712, 8192}, false},
		"identification alone":                          {side(57, counting...), rst{57, 31012, 502}, false},
	} {
		got := c.side.foreign(&packet.Packet{TTL: c.rst.ttl, IPID: c.rst.id, Window: c.rst.window, Flags: packet.RST})
		if got.Is() != c.want {
			t.Errorf("%s: foreign %v, want %v (%+v)", name, got.Is(), c.want, got)
		}
	}
}
