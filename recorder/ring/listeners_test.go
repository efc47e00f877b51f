//go:build linux

package ring

import (
	"net/netip"
	"testing"
	"time"
)

// listener is the n-th of a host, with so many that wait for room of 100.
func listener(n int, waiting uint32) Listener {
	return Listener{Local: netip.AddrPortFrom(netip.MustParseAddr("192.0.2.1"), uint16(n)), AcceptQueue: waiting, AcceptLimit: 100}
}

// A host with 48 busy listeners has the whole window of them, as one with a single one has:
// it began 1.3 s before the trigger where the ring had room for eight a tick.
func TestListenersOfAWholeWindow(t *testing.T) {
	const ticks, busy = 168, 48
	r := NewListeners(ticks)
	start := time.Now()
	for i := range 3 * ticks {
		for n := range busy {
			r.Add(listener(n, 1))
		}
		r.Add(listener(busy, 0)) // nothing waits
		r.EndTick(start.Add(time.Duration(i) * time.Second / TicksPerSecond))
	}
	from := start.Add(2 * ticks * time.Second / TicksPerSecond)
	n := 0
	r.Since(from, func(*Listener) { n++ })
	if n != ticks*busy {
		t.Errorf("%d rows of the window, want %d", n, ticks*busy)
	}
	if left, in, late := r.Missing(from); left != 0 || in != 0 || !late.IsZero() {
		t.Errorf("missing %d in %d ticks, from %v on", left, in, late)
	}
	// What no longer has room is known: 448 ticks of 48 are held, of 504.
	if _, _, late := r.Missing(start); late.Sub(start) != 14*time.Second {
		t.Errorf("of a longer window what is held begins %v after it, want 14 s", late.Sub(start))
	}
}

// Of more listeners than there is room for the fullest are kept, and how many were not is known.
func TestFullestListenersAreKept(t *testing.T) {
	r := NewListeners(4)
	r.perTick = 3
	now := time.Now()
	for n, waiting := range []uint32{1, 90, 5, 101, 0, 7} {
		r.Add(listener(n, waiting))
	}
	r.Add(Listener{Local: netip.MustParseAddrPort("192.0.2.1:99"), SynQueue: SynQueueUnknown}) // nothing is known to wait
	r.EndTick(now)
	r.Add(listener(9, 1))
	r.EndTick(now.Add(time.Second))
	var ports []uint16
	r.Since(now, func(l *Listener) { ports = append(ports, l.Local.Port()) })
	if len(ports) != 4 || ports[0] != 3 || ports[1] != 1 || ports[2] != 5 || ports[3] != 9 {
		t.Errorf("kept ports %d, want 3 1 5, then 9", ports)
	}
	if left, ticks, _ := r.Missing(now); left != 2 || ticks != 1 {
		t.Errorf("%d left out in %d ticks, want 2 in 1", left, ticks)
	}
	if left, _, _ := r.Missing(now.Add(time.Second)); left != 0 {
		t.Errorf("%d left out of a window that began later", left)
	}
}

// Memory is bounded also for the longest window.
func TestListenersAreBounded(t *testing.T) {
	if r := NewListeners(2408); len(r.rows.records) > listenersMost || r.perTick < 8 {
		t.Errorf("%d rows, %d a tick", len(r.rows.records), r.perTick)
	}
}
