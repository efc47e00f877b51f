//go:build linux

package capture

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/spikebox/spikebox/recorder/host"
	"github.com/spikebox/spikebox/recorder/pack"
)

// The kernel stamps packets with the wall clock. Where that is set within the window they are
// in the file all the same, in the order in which they came, and at the distance that they
// had; and what lies before the window is left out, whatever its stamp says. So it is where the ring has given back most of
// its blocks, and the step is among what is packed.
func TestPacketsOfASteppedClock(t *testing.T) {
	const tick, ms = 250 * time.Millisecond, int64(1e6)
	for name, step := range map[string]time.Duration{
		"not set": 0, "an hour forward": time.Hour, "an hour back": -time.Hour, "half a second back": -500 * time.Millisecond,
	} {
		for _, packed := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s, packed %v", name, packed), func(t *testing.T) {
				origin, wall := time.Now().Add(-20*time.Second), int64(1e18)
				at := time.Duration(0)
				clocks := func() host.Moment {
					m := host.Moment{At: origin.Add(at), Monotonic: int64(at), Realtime: wall + int64(at)}
					if at > 10*time.Second {
						m.Realtime += int64(step)
					}
					return m
				}
				track := host.NewTrack(clocks, 100)
				for ; at <= 20*time.Second; at += tick {
					track.Tick()
				}
				at = 16 * time.Second // the trigger
				since := origin.Add(5 * time.Second)
				past := track.Past(clocks(), since)
				// A packet each 10 ms on two interfaces; five seconds of them are older than the window.
				var rings [2][]numberedAt
				var want []uint64
				for seq := range uint64(2000) {
					at = time.Duration(seq) * 10 * time.Millisecond
					rings[seq%2] = append(rings[seq%2], numberedAt{at: clocks().Realtime, seq: seq})
					if at >= 5*time.Second {
						want = append(want, seq)
					}
				}
				c := cutOf(t, rings, origin, since, past, packed)
				if from := past.Base.Wall(c.stats[0].From).UnixNano(); from != past.Base.Place(5000*ms) {
					t.Errorf("the window begins at %d, want %d", from, past.Base.Place(5000*ms))
				}
				file := write(t, c, PcapngOptions{})
				if got := order(t, file); !slices.Equal(got, want) {
					t.Fatalf("%d packets of %d, or not in their order", len(got), len(want))
				}
				for i, f := range frames(t, file) {
					if d := time.Duration(f.Timestamp.UnixNano() - past.Base.Place(int64(want[i])*10*ms)).Abs(); d > tick {
						t.Fatalf("packet %d is put %v off", want[i], d)
					}
				}
			})
		}
	}
}

// cutOf is a cut of rings that were armed at origin and looked at for 20 s, and have given back what was before the last three
// where it is packed.
func cutOf(t *testing.T, rings [2][]numberedAt, origin, since time.Time, past *host.Past, packed bool) *Cut {
	c := &Cut{set: &Set{cfg: SetConfig{Filter: Filter{SnapLen: DefaultSnapLen}}}, clock: past}
	for i, pkts := range rings {
		p := handmade(t, 25, pkts) // half a second of each
		for n := range p.passes {
			end := origin.Add(time.Duration(n+1) * 500 * time.Millisecond)
			p.passes[n] = pass{end, end.Add(50 * time.Millisecond)}
		}
		p.looked = origin.Add(20 * time.Second)
		if packed {
			share, err := newPacking(1)
			if err != nil {
				t.Fatal(err)
			}
			p.packed = &history{packing: share, link: pack.Ethernet, most: 1 << 20, reach: time.Hour}
			for p.head-p.tail > 6 {
				p.giveBack()
			}
			if p.stats.Overwritten > 0 || p.packed.packets() < 800 {
				t.Fatalf("%d packets are packed, %d forgotten", p.packed.packets(), p.stats.Overwritten)
			}
		}
		m := &member{ring: p, armed: origin, link: link{name: fmt.Sprintf("eth%d", i)}}
		c.set.members = append(c.set.members, m)
		c.add(p, since, false)
		c.stats = append(c.stats, m.window(since, origin.Add(20*time.Second), past))
	}
	c.set.cut = c
	c.measure()
	return c
}
