//go:build linux

package recorder

import (
	"math"
	"testing"
	"time"

	"github.com/spikebox/spikebox/recorder/internal/testns"
	"github.com/spikebox/spikebox/recorder/ring"
)

// While nothing happens a tick allocates nothing, so that no garbage is to be collected on a host
// that has better things to do. What it counts beside, a dump of sockets now and then, may.
func TestTickAllocatesNothing(t *testing.T) {
	testns.Run(t, func() {
		cfg := Config{Root: "/", Before: 30 * time.Second, After: 10 * time.Second, Dir: t.TempDir(), DryRun: true, RingBytes: 8 << 20,
			Log: testns.Log(func(line string) { t.Log(line) })}
		triggers, patterns, err := cfg.check()
		if err != nil {
			t.Fatal(err)
		}
		r, err := arm(cfg, triggers, patterns, true)
		if err != nil {
			t.Fatal(err)
		}
		defer r.close()
		now := time.Now()
		second := func() {
			for range ring.TicksPerSecond {
				now = now.Add(Tick)
				r.tick(now)
			}
		}
		for range 50 { // every ring and buffer has its size
			second()
		}
		// The least of many: goroutines beside the ticks allocate, too, and a log line is said once. They
		// have come to rest at some time, on a busy machine late.
		least := math.Inf(1)
		for start := time.Now(); least > 0 && time.Since(start) < 20*time.Second; time.Sleep(5 * time.Millisecond) {
			least = min(least, testing.AllocsPerRun(1, second))
		}
		if least > 0 {
			t.Errorf("the ticks of a second allocate %v times", least)
		}
	})
}
