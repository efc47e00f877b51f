//go:build linux

package freeze

import (
	"fmt"
	"time"

	"github.com/spikebox/spikebox/format"
	"github.com/spikebox/spikebox/format/member"
	"github.com/spikebox/spikebox/recorder/host"
)

// clocksCSV renders what the clocks did: their first and last reading of the window, and
// those at which two of them had moved against each other.
func clocksCSV(past *host.Past) []byte {
	out, told := []byte(member.ClocksHeader), -1
	tell := func(i int, reason string) {
		if i == told {
			return
		}
		m := past.Readings[i]
		line := member.Clocks{Time: past.Base.Place(m.Monotonic), Realtime: m.Realtime, Monotonic: m.Monotonic,
			Boottime: m.Boottime, Raw: m.Raw, Reason: reason}
		out, told = line.Append(out), i
	}
	for i, m := range past.Readings {
		if i == 0 {
			tell(i, "")
			continue
		}
		// The reading before a jump is told too: the jump lies between the two, within a tick.
		if reason := jumped(past.Readings[i-1], m); reason != "" {
			tell(i-1, "")
			tell(i, reason)
			continue
		}
		if jumped(past.Readings[told], m) != "" {
			tell(i, member.ClockSlew)
		}
	}
	if n := len(past.Readings); n > 0 {
		tell(n-1, "")
	}
	return out
}

// jumped says what has moved from one reading to a later one. A suspend moves the wall clock
// as far as CLOCK_BOOTTIME, so that only what goes beyond it was set by somebody.
func jumped(a, b host.Moment) string {
	moved := func(of, against int64) bool { return time.Duration(of-against).Abs() >= host.Jump }
	boot := b.Boottime - a.Boottime
	mono := b.Monotonic - a.Monotonic
	switch {
	case moved(b.Realtime-a.Realtime, boot):
		return member.ClockStep
	case moved(boot, mono):
		return member.ClockSuspend
	case moved(mono, b.Raw-a.Raw):
		return member.ClockSlew
	}
	return ""
}

// clockSource is complete where the readings reach back to the window's start.
func clockSource(past *host.Past, start time.Time) format.Source {
	s := format.Source{Name: "clocks", State: format.Complete, Members: []string{member.ClocksName}}
	switch {
	case len(past.Readings) == 0:
		s.State, s.Reason = format.Partial, "the clocks were not read in the window"
	case past.Readings[0].At.Sub(start) > rounding:
		s.State, s.Reason = format.Partial, fmt.Sprintf("the clocks' readings begin %v after the window: what they did before is not known",
			past.Readings[0].At.Sub(start).Round(time.Millisecond))
	}
	return s
}
