//go:build linux

package recorder

import (
	"testing"
	"time"

	"github.com/spikebox/spikebox/recorder/trigger"
	"github.com/spikebox/spikebox/recorder/vital"
)

// What is late is a time: the default triggers want more than two connections with a late round trip, and none of them
// says that two seconds are late.
func TestLateRTT(t *testing.T) {
	for expr, want := range map[string]time.Duration{
		"rtt.excess.p99 > 5x for 2s and rtt.late > 2 for 2s": defaultLateRTT,
		"rtt.p99 > 90ms for 1s":                              90 * time.Millisecond,
		"rtt.p99 > 90ms and rtt.late > 2":                    90 * time.Millisecond,
		"syn_recv > 5x":                                      defaultLateRTT,
	} {
		parsed, err := trigger.Parse(expr, vital.Units())
		if err != nil {
			t.Fatal(err)
		}
		if got := lateRTT([]*trigger.Trigger{parsed}); got != want {
			t.Errorf("%s: late from %v on, want %v", expr, got, want)
		}
	}
}
