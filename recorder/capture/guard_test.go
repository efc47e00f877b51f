//go:build linux

package capture

import (
	"fmt"
	"testing"
	"time"

	"github.com/spikebox/spikebox/recorder/internal/testns"
)

// What was there at a trigger stays, however much comes after it: what comes finds less and less room, Full
// tells so before any is lost, and the cut holds all from before the guard on, without a gap. Then the next one does.
func TestGuardKeepsWhatWasBefore(t *testing.T) {
	for _, way := range []Way{TPacket, TCX} {
		for name, share := range map[string]float64{"unpacked": 0, "packed": 1} {
			t.Run(fmt.Sprintf("%s %s", way, name), func(t *testing.T) { guardKeeps(t, way, share) })
		}
	}
}

func guardKeeps(t *testing.T, way Way, share float64) {
	if way == TCX {
		needTap(t)
	}
	a, _ := testns.Pair(t)
	var p pace
	s := arm(t, a.NS, SetConfig{
		Interfaces: []string{a.Link}, Bytes: 1 << 20, Way: way, Filter: Filter{Payload: 16}, PackCPU: share, Before: time.Hour, After: time.Hour,
		countEvery: 10 * time.Millisecond, beforeLook: p.tick,
	})
	s.mu.Lock()
	switch r := s.members[0].ring.(type) {
	case *Packets:
		if r.packed != nil {
			r.packed.most = 20 << 10
		}
	case *tap:
		if r.packed != nil {
			r.packed.most = 20 << 10
		}
	}
	s.mu.Unlock()
	src := &sender{wire: openWire(t, a.NS, a.Link), size: 100}
	halt := start(t, 50, &p, src)
	eventually(t, "packets that are forgotten", func() bool { return s.Status()[0].Overwritten > 2_000 })
	for i := range 3 {
		since := time.Now()
		if i == 2 { // all that there is, which fills the memory
			since = time.Now().Add(-time.Hour)
		}
		before := src.sent.Load() // what comes from this number on has not been sent when the guard begins, or just now
		eventually(t, "more", func() bool { return src.sent.Load() > before+500 })
		s.Guard(since)
		select {
		case <-s.Full():
		case <-time.After(patience):
			t.Fatalf("the ring is not full: %+v", s.Status()[0])
		}
		sent := src.sent.Load()
		c, err := s.Cut(since, nil)
		if err != nil {
			t.Fatal(err)
		}
		file := write(t, c, PcapngOptions{})
		stats := c.Stats()[0]
		c.Close()
		got := contiguous(t, file)[0]
		// The sender may have been stopped between the packet and the count of it.
		if stats.Lost != 0 || got.last+1 < sent || i < 2 && (got.first > before+1 || stats.From.After(since)) {
			t.Errorf("the cut holds %d to %d of %d, from %v; the guard began at %d, %v, and %d were lost", got.first, got.last, sent, stats.From, before, since, stats.Lost)
		}
		if i == 2 && (got.first > before-1000 || got.last < before+500) {
			t.Errorf("of a full memory the cut holds %d to %d; the guard was set at %d", got.first, got.last, before)
		}
	}
	halt()
	if st := s.Status()[0]; st.Drops != 0 {
		t.Errorf("lost %d packets", st.Drops)
	}
}
