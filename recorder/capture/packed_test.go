//go:build linux

package capture

import (
	"testing"
	"time"

	"github.com/spikebox/spikebox/recorder/internal/testns"
)

// A ring of a megabyte goes round many times, and a cut holds every packet from the first on: what the
// ring has given back is packed. Several cuts in a row hold the same.
func TestPackedHistoryIsWhole(t *testing.T) {
	for _, way := range []Way{TPacket, TCX} {
		t.Run(string(way), func(t *testing.T) { packedIsWhole(t, way) })
	}
}

func packedIsWhole(t *testing.T, way Way) {
	a, _ := testns.Pair(t)
	var p pace
	s := arm(t, a.NS, SetConfig{
		Interfaces: []string{a.Link}, Bytes: 2 << 20, Way: way, Filter: Filter{Payload: 16}, PackCPU: 1, Before: time.Hour, After: time.Hour,
		countEvery: 10 * time.Millisecond, beforeLook: p.tick,
	})
	src := &sender{wire: openWire(t, a.NS, a.Link), size: 100}
	halt := start(t, 100, &p, src)
	const many = 60_000 // 8 MB in the ring
	eventually(t, "packets", func() bool { return src.sent.Load() >= many })
	for range 2 {
		sent := src.sent.Load()
		file, stats := cutNow(t, s)
		got := contiguous(t, file)[0]
		if got.first != 0 || got.last+1 < sent {
			t.Errorf("the cut holds %d to %d of %d", got.first, got.last, sent)
		}
		if n := uint64(len(frames(t, file))); n != stats[0].Held || stats[0].Overwritten != 0 || stats[0].Packed == 0 {
			t.Errorf("%d packets: %+v", n, stats[0])
		}
	}
	halt()
	if st := s.Status()[0]; st.Drops != 0 {
		t.Errorf("lost %d packets", st.Drops)
	}
}

// What is too much for the memory of the packed goes, the oldest first, and what is left is whole.
func TestPackedHistoryForgets(t *testing.T) {
	a, _ := testns.Pair(t)
	var p pace
	s := arm(t, a.NS, SetConfig{
		Interfaces: []string{a.Link}, Bytes: 2 << 20, Way: TPacket, Filter: Filter{Payload: 16}, PackCPU: 1, Before: time.Hour, After: time.Hour,
		countEvery: 10 * time.Millisecond, beforeLook: p.tick,
	})
	s.mu.Lock()
	s.members[0].ring.(*Packets).packed.most = 20 << 10
	s.mu.Unlock()
	src := &sender{wire: openWire(t, a.NS, a.Link), size: 100}
	halt := start(t, 100, &p, src)
	eventually(t, "packets that are forgotten", func() bool { return s.Status()[0].Overwritten > 10_000 })
	halt()
	sent := src.sent.Load()
	file, stats := cutNow(t, s)
	got := contiguous(t, file)[0]
	// Router solicitations are in the ring, too, and among those that were forgotten.
	if forgotten := stats[0].Overwritten; got.last+1 != sent || got.first > forgotten || got.first+20 < forgotten {
		t.Errorf("the cut holds %d to %d of %d, and %d were forgotten", got.first, got.last, sent, forgotten)
	}
	if st := stats[0]; !st.From.After(st.Armed) || st.Packed == 0 {
		t.Errorf("it reaches back to %v, armed at %v: %+v", st.From, st.Armed, st)
	}
}

// Without CPU for it, or while it is shed, nothing is packed: the oldest packets are forgotten, all of them are counted, and the
// cut says from when on it holds everything. What was shed comes back.
func TestPackingIsBounded(t *testing.T) {
	for name, share := range map[string]float64{"no CPU": 1e-9, "shed": 1} {
		t.Run(name, func(t *testing.T) {
			a, _ := testns.Pair(t)
			var p pace
			s := arm(t, a.NS, SetConfig{
				Interfaces: []string{a.Link}, Bytes: 2 << 20, Way: TPacket, Filter: Filter{Payload: 16}, PackCPU: share, Before: time.Hour, After: time.Hour,
				countEvery: 10 * time.Millisecond, beforeLook: p.tick,
			})
			s.Pack(name != "shed")
			src := &sender{wire: openWire(t, a.NS, a.Link), size: 100}
			halt := start(t, 100, &p, src)
			eventually(t, "packets that are not packed", func() bool { return s.Status()[0].Unpacked > 10_000 })
			halt()
			sent := src.sent.Load()
			file, stats := cutNow(t, s)
			got := contiguous(t, file)[0]
			if st := stats[0]; got.first > st.Overwritten || got.first+20 < st.Overwritten || !st.From.After(st.Armed) || got.last+1 != sent {
				t.Errorf("the cut holds %d to %d of %d from %v on, and %d were forgotten: %+v", got.first, got.last, sent, st.From, st.Overwritten, st)
			}
			if name != "shed" {
				return
			}
			if took := s.PackTime(); took != 0 {
				t.Errorf("packing took %v while it was shed", took)
			}
			s.Pack(true)
			halt = start(t, 100, &p, src)
			eventually(t, "packets that are packed again", func() bool { return s.Status()[0].Packed > 10_000 })
			halt()
			if s.PackTime() == 0 {
				t.Error("packing took no time")
			}
		})
	}
}

// A flood that goes round the whole ring between two looks ends the history, and from where the cut says
// that it holds everything, it does.
func TestPackedHistoryBeginsAnew(t *testing.T) {
	needTap(t)
	a, _ := testns.Pair(t)
	s := arm(t, a.NS, SetConfig{
		Interfaces: []string{a.Link}, Bytes: 2 << 20, Way: TCX, Filter: Filter{Payload: 16}, PackCPU: 1, Before: time.Hour, After: time.Hour, countEvery: time.Hour,
	})
	w := openWire(t, a.NS, a.Link)
	seq := w.sendFrom(t, 0, 1000)
	s.mu.Lock()
	tap := s.members[0].ring.(*tap)
	s.mu.Unlock()
	for range 3 {
		begin := time.Now()
		s.mu.Lock() // nobody looks meanwhile
		seq = w.sendFrom(t, seq, 30_000)
		s.mu.Unlock()
		s.look(time.Now())
		file, stats := cutNow(t, s)
		got := contiguous(t, file)[0]
		if got.first == 0 || got.last+1 != seq || tap.forgotten == 0 {
			t.Errorf("the cut holds %d to %d of %d", got.first, got.last, seq)
		}
		if from := stats[0].From; !from.After(begin) || from.After(stats[0].To) {
			t.Errorf("it says that it holds everything from %v on, although the ring went round after %v", from, begin)
		}
	}
}
