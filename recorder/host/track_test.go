//go:build linux

package host

import (
	"testing"
	"time"
)

// Now's clocks are those that Go has, read together.
func TestNow(t *testing.T) {
	before := time.Now()
	m := Now()
	after := time.Now()
	if m.At.Before(before) || m.At.After(after) {
		t.Errorf("read at %v, between %v and %v", m.At, before, after)
	}
	// Go's wall clock and ours may be set between the two, but not by a test.
	for _, at := range []time.Time{before, after, before.Add(-time.Hour)} {
		if d := m.Wall(at).Sub(at).Abs(); d > 100*time.Millisecond {
			t.Errorf("%v is put %v off", at, d)
		}
		if got := m.Instant(m.Wall(at).UnixNano()); got.Sub(at).Abs() > time.Microsecond {
			t.Errorf("%v comes back as %v", at, got)
		}
	}
	// The clocks are read one after the other.
	if m.Boottime < m.Monotonic-int64(time.Second) || m.Reading("armed").Realtime != m.Realtime {
		t.Errorf("reading %+v", m)
	}
}

// told is a machine whose wall clock is set by so much at some second, and which is read
// every quarter of one, as the recorder does.
func told(set map[int]time.Duration, seconds int) *Past {
	origin := time.Now()
	track := NewTrack(nil, 4*seconds+1)
	offset := int64(1e18)
	for i := range 4*seconds + 1 {
		if i%4 == 1 { // between two ticks
			offset += int64(set[i/4])
		}
		at := time.Duration(i) * time.Second / 4
		m := Moment{At: origin.Add(at), Monotonic: int64(at)}
		m.Realtime, m.Boottime, m.Raw = m.Monotonic+offset, m.Monotonic, m.Monotonic
		track.readings.Push(m)
	}
	last := Moment{At: origin.Add(time.Duration(seconds) * time.Second), Monotonic: int64(seconds) * 1e9}
	last.Realtime = last.Monotonic + offset
	return track.Past(last, origin)
}

// Stamps of the wall clock come back to the instants at which they were taken, whichever way
// it was set, and how often.
func TestStamps(t *testing.T) {
	const ms = time.Millisecond
	for name, set := range map[string]map[int]time.Duration{
		"never":              {},
		"an hour forward":    {5: time.Hour},
		"an hour back":       {5: -time.Hour},
		"by 30 ms":           {5: 30 * ms},
		"back by 300 ms":     {5: -300 * ms},
		"there and back":     {3: time.Hour, 7: -time.Hour},
		"back and there":     {3: -time.Hour, 7: time.Hour},
		"three times":        {2: -2 * time.Second, 4: 5 * time.Second, 8: -time.Second},
		"in every second":    {1: -20 * ms, 2: -20 * ms, 3: 20 * ms, 4: -20 * ms, 5: 20 * ms},
		"before all packets": {0: -time.Hour},
	} {
		past := told(set, 10)
		for _, known := range []bool{false, true} {
			if name == "before all packets" && !known {
				continue // nothing then tells of which time the first packet is
			}
			stamps, offset := past.Stamps(), int64(1e18)
			for i := range 10_000 { // a packet each ms, neighbours swapped now and then
				at := int64(i^btoi(i%10 == 3)) * 1e6
				if i%1000 == 125 { // in the middle of the tick
					offset += int64(set[i/1000])
				}
				if name == "before all packets" && i < 9000 {
					continue
				}
				var after, until time.Time
				if known {
					after = past.Base.At.Add(time.Duration(at) - 10*time.Second - 400*ms)
					until = past.Base.At.Add(time.Duration(at) - 10*time.Second + 300*ms)
				}
				stamps.Between(after, until)
				got := stamps.Place(at + offset)
				want := past.Base.Place(at)
				if d := time.Duration(got - want).Abs(); d > 250*ms {
					t.Fatalf("%s, known %v: the packet of %v is put %v off", name, known, time.Duration(at), time.Duration(got-want))
				}
			}
		}
	}
}

func btoi(b bool) int {
	if b {
		return 1
	}
	return 0
}

// Without readings, or without anybody to ask, a stamp stays as it is.
func TestStampsWithoutReadings(t *testing.T) {
	for _, p := range []*Past{nil, {}} {
		stamps := p.Stamps()
		if got := stamps.Place(5); got != 5 {
			t.Errorf("stamp 5 becomes %d", got)
		}
	}
}

// Past begins with the last reading before the window, and no earlier.
func TestPast(t *testing.T) {
	p := told(nil, 10)
	start := p.Base.At.Add(-3100 * time.Millisecond)
	track := NewTrack(nil, 100)
	for _, m := range p.Readings {
		track.readings.Push(m)
	}
	got := track.Past(p.Base, start)
	if n := len(got.Readings); n != 14 || got.Readings[0].Monotonic != 6750*1e6 {
		t.Errorf("%d readings from %d on, want 14 from 6.75 s on", n, got.Readings[0].Monotonic)
	}
}

// A stamp of before the first reading, when the wall clock was an hour ahead, is no packet of
// the next hour.
func TestStampOfAnUnknownEra(t *testing.T) {
	p := told(nil, 10)
	after, until := p.Base.At.Add(-20*time.Second), p.Base.At.Add(-9*time.Second)
	ahead := p.Base.Wall(until).Add(time.Hour).UnixNano()
	stamps := p.Stamps()
	stamps.Between(after, until)
	if got := stamps.Place(ahead); got != p.Base.Wall(after).UnixNano() {
		t.Errorf("put at %d, want %d", got, p.Base.Wall(after).UnixNano())
	}
	stamps.Between(time.Time{}, until)
	if got := stamps.Place(ahead); got != p.Base.Wall(until).UnixNano() {
		t.Errorf("put at %d, want %d", got, p.Base.Wall(until).UnixNano())
	}
}
