//go:build linux

package freeze

import (
	"testing"
	"time"

	"github.com/spikebox/spikebox/recorder/capture"
)

// What is missing of an interface is judged by the window: that it went, or came, within it
// is no loss where no packet passed it unrecorded.
func TestShortfall(t *testing.T) {
	at := func(s int) time.Time { return time.Unix(int64(1000+s), 0) }
	start, end := at(0), at(40)
	ring := func(state capture.State, armed, bound, from time.Time, missed uint64) capture.Stats {
		return capture.Stats{From: from, To: end, Status: capture.Status{Name: "eth0", State: state, Armed: armed, Bound: bound,
			Missed: missed, RingBytes: 1 << 20, Reason: "why"}}
	}
	early := at(-60)
	lossy := ring(capture.Recording, early, early, start, 0)
	lossy.Lost = 7
	full := ring(capture.Recording, early, early, start, 0)
	full.To = at(33)
	both := ring(capture.Recording, early, early, at(10), 0)
	both.To = at(33)
	for name, c := range map[string]struct {
		stats capture.Stats
		want  string
	}{
		"whole":                        {ring(capture.Recording, early, early, start, 5), ""},
		"down":                         {ring(capture.Down, early, early, start, 5), ""},
		"removed":                      {ring(capture.Missing, early, early, start, 5), ""},
		"came, and nothing had passed": {ring(capture.Recording, at(9), at(9), at(9), 0), ""},
		"came, and something had":      {ring(capture.Recording, at(9), at(9), at(9), 3), "packets passed within the window before it was recorded"},
		"made anew":                    {ring(capture.Recording, early, at(9), start, 3), "packets passed within the window before it was recorded"},
		"overwritten":                  {ring(capture.Recording, early, early, at(30), 0), "the ring reaches back to 10s before the window's end only"},
		"overwritten since it came":    {ring(capture.Recording, at(9), at(9), at(30), 0), "the ring reaches back to 10s before the window's end only"},
		"full":                         {full, "recorded until 7s before the window's end only, as there was no room for more beside what was before the trigger"},
		"full, and short before":       {both, "the ring reaches back to 30s before the window's end only, and recorded until 7s before the window's end only, as there was no room for more beside what was before the trigger"},
		"lossy":                        {lossy, "7 packets found no room in the ring"},
		"never there":                  {ring(capture.Missing, time.Time{}, time.Time{}, end, 0), "why"},
		"without a ring":               {capture.Stats{Status: capture.Status{Reason: "why"}}, "not recorded: why"},
	} {
		if got := shortfall(c.stats, start, end); got != c.want {
			t.Errorf("%s: %q, want %q", name, got, c.want)
		}
	}
	if got := someOf([]string{"a", "b", "c", "d", "e"}); got != "a, b, c and 2 more" {
		t.Errorf("five interfaces are %q", got)
	}
}
