//go:build linux

package vital

import (
	"testing"
	"time"

	"github.com/spikebox/spikebox/recorder/internal/testns"
	"github.com/spikebox/spikebox/recorder/probe"
)

// Stacks are sampled from the first long softirq on, until none was long for a minute; and
// always where a trigger looks at how long they are.
func TestStacksAreSampledAfterALongSoftirq(t *testing.T) {
	testns.New(t) // only for its gate
	probes := probe.Open(probe.Options{})
	defer probes.Close()
	if err := probes.Refusal("stacks"); err != nil {
		t.Skipf("the probe of stacks is not armed: %v", err)
	}
	const never = time.Hour
	now := time.Now()
	for _, asked := range []bool{false, true} {
		reader, err := softirqMeter.Variants[0].Open(Env{Probes: probes, Asked: func(string) bool { return asked }})
		if err != nil {
			t.Fatal(err)
		}
		// tick reads once, with some runs to read, and says whether stacks are sampled from then on.
		tick := func(after, long time.Duration) bool {
			now = now.Add(after)
			probes.Softirqs.Long = long
			time.Sleep(50 * time.Millisecond) // the kernel's own timers make softirqs
			if err := reader.Read(now, []float64{0}); err != nil {
				t.Fatal(err)
			}
			return probes.Stacks.Wanted() && len(probes.Stacks.Sampled(time.Now(), time.Now())) > 0
		}
		if tick(0, never) != asked {
			t.Errorf("asked %v: the first tick has %v", asked, !asked)
		}
		for deadline := time.Now().Add(time.Minute); !tick(time.Second, 1); {
			if time.Now().After(deadline) {
				t.Fatal("no softirq for a minute")
			}
		}
		if !tick(StacksQuiet-time.Second, never) {
			t.Error("not sampled for a minute")
		}
		if tick(time.Second, never) != asked {
			t.Errorf("asked %v: after a minute it is %v", asked, !asked)
		}
	}
}
