//go:build linux

package vital

import (
	"net/netip"
	"testing"
	"time"
)

// Each step is a tick of 250 ms, with the queues of some sockets on one address, in order.
func TestStalls(t *testing.T) {
	addr := netip.MustParseAddrPort("192.0.2.1:80")
	for name, c := range map[string]struct {
		ticks [][]uint32
		want  time.Duration // after the last of them
	}{
		"empty":                        {[][]uint32{{0}, {0}, {0}}, 0},
		"one waits":                    {[][]uint32{{0}, {1}, {1}, {1}}, 500 * time.Millisecond},
		"more and more wait":           {[][]uint32{{0}, {1}, {5}, {9}, {9}}, 750 * time.Millisecond},
		"one was taken":                {[][]uint32{{0}, {5}, {5}, {4}, {6}}, 250 * time.Millisecond},
		"all were taken":               {[][]uint32{{0}, {5}, {5}, {0}}, 0},
		"the first after all were":     {[][]uint32{{0}, {5}, {0}, {1}, {1}}, 250 * time.Millisecond},
		"nobody has ever accepted":     {[][]uint32{{3}, {3}, {4}, {4}}, 0},
		"somebody accepts after all":   {[][]uint32{{3}, {2}, {2}}, 250 * time.Millisecond},
		"one worker of three stands":   {[][]uint32{{0, 0, 0}, {0, 2, 1}, {1, 2, 0}, {0, 2, 3}}, 500 * time.Millisecond},
		"a listener that starts":       {[][]uint32{{}, {2}, {2}}, 0},
		"one that has begun to accept": {[][]uint32{{}, {2}, {1}, {1}}, 250 * time.Millisecond},
		"one that starts anew":         {[][]uint32{{0}, {2}, {1}, {}, {1}, {1}}, 0},
	} {
		s, now, got := newStalls(), time.Unix(1000, 0), time.Duration(0)
		for _, sockets := range c.ticks {
			now, got = now.Add(250*time.Millisecond), 0
			for _, length := range sockets {
				got = max(got, s.add(now, addr, length))
			}
			s.end(now)
		}
		if got != c.want {
			t.Errorf("%s: stalled for %v, want %v", name, got, c.want)
		}
	}
}

// A service that starts has a minute to become ready.
func TestStallsOfWhatStarts(t *testing.T) {
	s, now, addr, began := newStalls(), time.Unix(1000, 0), netip.MustParseAddrPort("192.0.2.1:80"), time.Duration(0)
	s.end(now)
	for in := time.Duration(0); in < 2*starting; in += 250 * time.Millisecond {
		got := s.add(now.Add(in+250*time.Millisecond), addr, 1)
		if began == 0 && got > 0 {
			began = in
		}
		s.end(now.Add(in + 250*time.Millisecond))
	}
	if began != starting {
		t.Errorf("stalled from %v on, want %v", began, starting)
	}
}

// A service that restarts is gone for a moment, one that crashed for a minute; what lived for
// a second only is not missed.
func TestListenersGone(t *testing.T) {
	old, restarted, brief := netip.MustParseAddrPort("[::]:80"), netip.MustParseAddrPort("[::]:443"), netip.MustParseAddrPort("[::]:2121")
	k, start := newKnown(), time.Unix(1000, 0)
	for _, c := range []struct {
		at    time.Duration
		there []netip.AddrPort
		want  int
	}{
		{0, []netip.AddrPort{old}, 0},
		{time.Second, []netip.AddrPort{old, restarted, brief}, 0},
		{2 * time.Second, []netip.AddrPort{old, restarted}, 0},
		{12 * time.Second, []netip.AddrPort{old, restarted}, 0},
		{13 * time.Second, []netip.AddrPort{old}, 1},
		{14 * time.Second, nil, 2},
		{15 * time.Second, []netip.AddrPort{restarted}, 1},
		{73 * time.Second, []netip.AddrPort{restarted}, 1},
		{75 * time.Second, []netip.AddrPort{restarted}, 0},
	} {
		now := start.Add(c.at)
		for _, addr := range c.there {
			k.seen(now, addr)
		}
		if got := k.gone(now); got != c.want {
			t.Errorf("after %v %d are gone, want %d", c.at, got, c.want)
		}
	}
}

// A recorder that had no CPU for a while does not know what was taken meanwhile.
func TestStallsWhileNobodyLooked(t *testing.T) {
	s, now := newStalls(), time.Unix(1000, 0)
	for _, pause := range []time.Duration{0, 250 * time.Millisecond, 5 * time.Second} {
		now = now.Add(pause)
		length := uint32(4)
		if pause == 0 {
			length = 0
		}
		if got := s.add(now, netip.MustParseAddrPort("[::]:80"), length); got != 0 {
			t.Errorf("after a pause of %v stalled for %v", pause, got)
		}
		s.end(now)
	}
}
