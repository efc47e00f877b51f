package evidence

import (
	"net/netip"
	"testing"
	"time"
)

// A request belongs to the connection of its client's end that was there at its time. Where a port was used again within what
// the log's times leave open, it belongs to none.
func TestFindConnection(t *testing.T) {
	const s = int64(time.Second)
	client, one, other := netip.MustParseAddrPort("10.0.0.1:4000"), netip.MustParseAddrPort("10.0.0.9:80"), netip.MustParseAddrPort("10.0.0.9:81")
	known := &connections{by: map[netip.AddrPort]int32{}}
	put := func(number uint64, server netip.AddrPort, first, last int64) {
		before, ok := known.by[client]
		if !ok {
			before = -1
		}
		known.by[client] = int32(len(known.list))
		known.list = append(known.list, connection{Connection{server, first, last, number}, before})
	}
	put(1, one, 10*s, 12*s)
	put(2, one, 12*s+s/5, 13*s)
	put(3, one, 20*s, 22*s)
	put(4, other, 20*s, 22*s)
	for name, tt := range map[string]struct {
		start, end, fine int64
		server           netip.AddrPort
		want             uint64
		unclear          bool
	}{
		"within":                             {start: 10*s + 1, end: 11 * s, fine: s / 1000, want: 1},
		"before all":                         {start: 8 * s, end: 9 * s, fine: s / 1000},
		"between two":                        {start: 12*s + s/10, end: 12*s + s/10, fine: s / 1000},
		"the second, by ms":                  {start: 12*s + s/4, end: 12*s + s/2, fine: s / 1000, want: 2},
		"either, by s":                       {start: 12 * s, end: 12 * s, fine: s, unclear: true},
		"one for certain, by s":              {start: 11 * s, end: 11 * s, fine: s, want: 1},
		"both, by s":                         {start: 11*s + s/2, end: 12*s + s/10, fine: s, unclear: true},
		"two servers":                        {start: 21 * s, end: 21 * s, fine: s, unclear: true},
		"two servers, and the log tells one": {start: 21 * s, end: 21 * s, fine: s, server: other, want: 4},
		"a server that is none":              {start: 21 * s, end: 21 * s, fine: s, server: netip.MustParseAddrPort("10.0.0.8:80")},
	} {
		r := Request{Client: client, Start: tt.start, End: tt.end, Fine: tt.fine}
		found, unclear := known.find(&r, tt.server)
		number := uint64(0)
		if found != nil {
			number = found.Number
		}
		if number != tt.want || unclear != tt.unclear {
			t.Errorf("%s: connection %d, unclear %v; want %d, %v", name, number, unclear, tt.want, tt.unclear)
		}
	}
}
