//go:build linux

package vital

import (
	"net/netip"
	"time"
)

const (
	// settled is how long a listener was there for its end to be told: a data port of FTP, or a
	// test's, lives shorter.
	settled = 10 * time.Second
	// mourned is how long that is told.
	mourned = time.Minute
)

// known is what is remembered of listeners from tick to tick.
type known struct {
	stalls *stalls
	there  map[netip.AddrPort]*stay
	began  time.Time // first tick
}

// stay is when an address was listened on.
type stay struct{ first, last time.Time }

func newKnown() *known {
	return &known{stalls: newStalls(), there: map[netip.AddrPort]*stay{}}
}

// seen notes a listener of the tick.
func (k *known) seen(now time.Time, addr netip.AddrPort) {
	if k.began.IsZero() {
		k.began = now
	}
	s := k.there[addr]
	if s == nil {
		s = &stay{first: now}
		k.there[addr] = s
	}
	s.last = now
}

// gone counts the addresses that were not seen in this tick.
func (k *known) gone(now time.Time) (n int) {
	for addr, s := range k.there {
		switch {
		case s.last.Equal(now):
			continue
		// What was there before the recorder has been there for who knows how long.
		case now.Sub(s.last) > mourned, s.last.Sub(s.first) < settled && !s.first.Equal(k.began):
			delete(k.there, addr)
		default:
			n++
		}
	}
	return n
}
