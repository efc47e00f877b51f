package check

import (
	"net/netip"
	"testing"

	"github.com/spikebox/spikebox/analyzer/rtt"
	"github.com/spikebox/spikebox/analyzer/timeline"
)

// line is a vital that was read four times a second.
func line(values ...float64) *timeline.Series {
	s := &timeline.Series{V: values}
	for i := range values {
		s.T = append(s.T, int64(i)*250_000_000)
	}
	return s
}

// times repeats a value.
func times(n int, v float64) (all []float64) {
	for range n {
		all = append(all, v)
	}
	return all
}

func TestSpikeByVital(t *testing.T) {
	for name, tt := range map[string]struct {
		values []float64
		want   bool
	}{
		"spike":                       {append(times(8, 0.02), times(8, 0.5)...), true},
		"slow from end to end":        {times(16, 0.5), true}, // nothing calm to compare with
		"calm":                        {times(16, 0.02), false},
		"not far above the usual":     {append(times(8, 0.15), times(8, 0.3)...), false},
		"one late acknowledgement":    {append(times(8, 0.02), 0.5, 0.5), false},
		"nothing was measured at all": {nil, false},
	} {
		s := spike{limit: 0.2}
		v := line(tt.values...)
		if got := s.byVital(v, timeline.Span{Start: 0, End: 10e9}); got != tt.want || got && s.most != 0.5 {
			t.Errorf("%s: %v with %v s at most, want %v", name, got, s.most, tt.want)
		}
	}
}

// peer has one sample a second, of so many ms; 0 is none.
func peer(addr string, ms ...int64) *rtt.Peer {
	p := &rtt.Peer{Addr: netip.MustParseAddr(addr)}
	for i, v := range ms {
		if v == 0 {
			continue
		}
		p.Bins = append(p.Bins, rtt.Bin{Second: int64(i) + 1, N: 1, Sum: v * 1e6, Max: v * 1e6})
	}
	return p
}

func TestSpikeByPackets(t *testing.T) {
	for name, tt := range map[string]struct {
		peer *rtt.Peer
		want timeline.Span
	}{
		"spike":                 {peer("10.0.0.1", 20, 20, 20, 900, 900, 20), timeline.Span{Start: 4e9, End: 6e9}},
		"a long path":           {peer("10.0.0.1", 300, 310, 300, 320), timeline.Span{}},
		"slow for most of it":   {peer("10.0.0.1", 20, 20, 900, 900, 900), timeline.Span{Start: 3e9, End: 6e9}},
		"grown below the limit": {peer("10.0.0.1", 20, 20, 20, 150), timeline.Span{}},
	} {
		s := spike{limit: 0.2}
		if got := s.byPackets([]*rtt.Peer{tt.peer}); got != (tt.want != timeline.Span{}) || s.span != tt.want {
			t.Errorf("%s: %v in %v, want %v", name, got, s.span, tt.want)
		}
	}
}

// Which peers were slow within a spike: by the half of the limit, as theirs is a mean, and
// far above their usual where they have one.
func TestSlowPeers(t *testing.T) {
	s := spike{limit: 0.2, span: timeline.Span{Start: 3.5e9, End: 5.5e9}}
	s.sort([]*rtt.Peer{
		peer("10.0.0.1", 20, 20, 150, 150, 150, 20),    // slow
		peer("10.0.0.2", 300, 300, 300, 300, 300, 300), // a long path
		peer("10.0.0.3", 20, 20, 90, 90, 90, 20),       // below half of the limit
		peer("10.0.0.4", 20, 20),                       // silent in the spike
		peer("10.0.0.5", 0, 0, 0, 900, 900),            // speaks in the spike only
	})
	if len(s.slow) != 2 || s.slow[0].addr.String() != "10.0.0.5" || s.slow[1].addr.String() != "10.0.0.1" {
		t.Errorf("slow are %+v, want 10.0.0.5 and then 10.0.0.1", s.slow)
	}
	if len(s.other) != 2 {
		t.Errorf("%d others, want 10.0.0.2 and 10.0.0.3", len(s.other))
	}
}

func TestCulprit(t *testing.T) {
	peers := func(addrs ...string) (all []slowPeer) {
		for _, a := range addrs {
			all = append(all, slowPeer{addr: netip.MustParseAddr(a)})
		}
		return all
	}
	for _, tt := range []struct {
		slow, other []slowPeer
		want        string
	}{
		{nil, nil, "unknown peers"},
		{nil, peers("10.0.0.1"), "this host, on this side of the tap"},
		{peers("10.0.0.1"), peers("10.1.0.1"), "peer 10.0.0.1"},
		{peers("10.0.0.1"), nil, "peer 10.0.0.1"},
		{peers("10.0.0.1", "10.0.3.1"), peers("10.1.0.1"), "network 10.0.0.0/22"},
		{peers("2001:db8:1::1", "2001:db8:1:2::1"), peers("10.1.0.1"), "network 2001:db8:1::/62"},
		{peers("10.0.0.1", "10.0.3.1"), nil, "all peers"},
		{peers("10.0.0.1", "10.1.0.1"), peers("10.2.0.1"), "2 of 3 peers"}, // a /15 is no network that one path leads to
		{peers("10.0.0.1", "10.1.0.1", "10.2.0.1", "10.3.0.1"), peers("10.4.0.1"), "all peers"},
	} {
		s := spike{slow: tt.slow, other: tt.other}
		if got := s.culprit(false).object; got != tt.want {
			t.Errorf("%d slow, %d not: %s, want %s", len(tt.slow), len(tt.other), got, tt.want)
		}
	}
}
