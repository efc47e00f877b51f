//go:build linux

package capture

import (
	"testing"
	"time"
)

// A ring of 64 blocks of a megabyte of which half is held, in which packets take 128 bytes: what it reaches at a rate, what more
// memory would, and what packing adds to it as long as there is CPU time for that.
func TestReach(t *testing.T) {
	now := time.Now()
	for name, c := range map[string]struct {
		rate   float64
		packed bool
		want   Reach
	}{
		"idle":                    {0, true, Reach{Back: 40 * time.Second}},
		"quiet":                   {1000, false, Reach{Back: 40 * time.Second}},
		"more than before":        {7000, false, Reach{Back: 37449142857}},
		"less than before":        {26_214.4, false, Reach{Back: 10 * time.Second, Need: 208 << 20}}, // 192 MiB and the next step
		"packed":                  {100_000, true, Reach{Back: 28835840000, Need: 80 << 20}},         // 2.6 s, and 10 MiB of 4 bytes each
		"more than may be packed": {262_144, true, Reach{Back: time.Second, Need: 1936 << 20, Slow: true}},
		"packing is shed":         {100_000, true, Reach{Back: 2621440000, Need: 736 << 20, Off: true}},
	} {
		geo := geometry{size: 1 << 20, blocks: 64}
		geo.reserve = geo.blocks - 1 - 32
		p := &Packets{geo: geo, head: 1 << 10}
		p.stats.Packets = 1 << 30 / 128
		s := &Set{cfg: SetConfig{Bytes: 64 << 20, Before: 30 * time.Second, After: 10 * time.Second}}
		if c.packed {
			s.packing = &packing{meter: meter{share: 0.03, off: c.want.Off}, count: 1000, took: 150_000}
			p.packed = &history{packing: s.packing, most: 10 << 20, bytes: 4000, blocks: []packedBlock{{packets: 1000}}}
		}
		before := p.stats.Packets - uint64(c.rate*10)
		m := &member{ring: p, rate: rate{{now.Add(-10 * time.Second), before}, {now.Add(-time.Second), before}}}
		s.members = []*member{m}
		got := s.reach(m, now)
		off := (got.Back - c.want.Back).Abs()
		if off > time.Millisecond || got.Need != c.want.Need || got.Slow != c.want.Slow || got.Off != c.want.Off || got.Over != 10*time.Second {
			t.Errorf("%s: %+v, want %+v", name, got, c.want)
		}
	}
}

// A rate is of the last five to ten seconds.
func TestRate(t *testing.T) {
	var r rate
	begin := time.Now()
	packets := uint64(0)
	for second := range 60 {
		now := begin.Add(time.Duration(second) * time.Second)
		if second >= 30 {
			packets += 1000
		}
		r.read(now, packets)
		got, over := r.at(now, packets)
		switch {
		case over > 2*rateSpan:
			t.Errorf("second %d: counted over %v", second, over)
		case second < 30 && got != 0, second >= 40 && got != 1000:
			t.Errorf("second %d: %v packets/s", second, got)
		}
	}
}
