//go:build linux

package recorder

import (
	"testing"
	"time"

	"github.com/spikebox/spikebox/recorder/internal/testns"
)

// While nothing happens a tick allocates nothing, so that no garbage is to be collected on a host
// that has better things to do. What it counts beside, a dump of sockets now and then, may.
func TestTickAllocatesNothing(t *testing.T) {
	testns.Run(t, func() {
		cfg := Config{Root: "/", Before: 30 * time.Second, After: 10 * time.Second, Dir: t.TempDir(), DryRun: true, RingBytes: 8 << 20,
			Log: func(line string) { t.Log(line) }}
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
		tick := func() {
			now = now.Add(Tick)
			r.tick(now)
		}
		for range 200 { // every ring and buffer has its size
			tick()
		}
		if n := testing.AllocsPerRun(100, tick); n > 0 {
			t.Errorf("a tick allocates %v times", n)
		}
	})
}
