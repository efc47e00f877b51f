//go:build linux

package host

import (
	"time"

	"golang.org/x/sys/unix"

	"github.com/spikebox/spikebox/format"
)

// Clocks reads the kernel's clocks. It is a value, so that a test can set a clock, slew it
// and put the machine to sleep.
type Clocks func() Moment

// Moment is one reading of the kernel's clocks, in ns. CLOCK_MONOTONIC is what everything is
// measured on: it never jumps. Against it CLOCK_REALTIME jumps when it is set,
// CLOCK_BOOTTIME when the machine was suspended, and CLOCK_MONOTONIC_RAW runs away while the
// others are slewed (kernel/time/timekeeping.c, Linux 6.18).
type Moment struct {
	At time.Time // the same instant as Go has it; only its monotonic reading is used

	Realtime, Monotonic, Boottime, Raw int64
}

const (
	// together is within what time the clocks count as read at one instant: five system calls
	// take 1 µs, or 10 on a virtual machine that is slow with them.
	together = 50 * time.Microsecond
	// readTries is how often they are read again where something came in between, as on a
	// virtual CPU that does not run. The closest reading is taken.
	readTries = 5
)

// Now reads this machine's clocks.
func Now() (best Moment) {
	shortest := time.Duration(-1)
	for range readTries {
		before := clock(unix.CLOCK_MONOTONIC)
		m := Moment{
			Realtime: clock(unix.CLOCK_REALTIME), Boottime: clock(unix.CLOCK_BOOTTIME),
			Raw: clock(unix.CLOCK_MONOTONIC_RAW), At: time.Now(),
		}
		took := time.Duration(clock(unix.CLOCK_MONOTONIC) - before)
		m.Monotonic = before + int64(took)/2
		if shortest < 0 || took < shortest {
			best, shortest = m, took
		}
		if shortest <= together {
			break
		}
	}
	return best
}

// Monotonic reads CLOCK_MONOTONIC, ns.
func Monotonic() int64 { return clock(unix.CLOCK_MONOTONIC) }

// clock reads one clock. All of them exist on every kernel that runs Go; an error would
// leave zero.
func clock(id int32) int64 {
	var t unix.Timespec
	_ = unix.ClockGettime(id, &t)
	return t.Nano()
}

// Place puts an instant of CLOCK_MONOTONIC on the bundle's clock, CLOCK_REALTIME as m has it,
// in Unix ns. Nothing else in the recorder does: m is the reading at the trigger, so that
// what was before a step and what came after it have the distance that they had.
func (m Moment) Place(mono int64) int64 { return m.Realtime + mono - m.Monotonic }

// Mono is an instant of Go's on CLOCK_MONOTONIC.
func (m Moment) Mono(at time.Time) int64 { return m.Monotonic + int64(at.Sub(m.At)) }

// Wall is an instant of Go's, which carries its monotonic reading, on the bundle's clock.
func (m Moment) Wall(at time.Time) time.Time { return time.Unix(0, m.Place(m.Mono(at))).UTC() }

// Instant is the way back from the bundle's clock.
func (m Moment) Instant(wall int64) time.Time { return m.At.Add(time.Duration(wall - m.Realtime)) }

// Reading is the moment for the manifest, with what adjtimex(2) says now.
func (m Moment) Reading(at string) format.Clock {
	c := format.Clock{At: at, Realtime: m.Realtime, Monotonic: m.Monotonic, Boottime: m.Boottime}
	var timex unix.Timex // modes 0: reads only
	if state, err := unix.Adjtimex(&timex); err == nil {
		c.Synchronized = state != unix.TIME_ERROR && timex.Status&unix.STA_UNSYNC == 0
		c.OffsetNs = int64(timex.Offset)
		if timex.Status&unix.STA_NANO == 0 {
			c.OffsetNs *= 1000
		}
		c.MaxErrorNs = int64(timex.Maxerror) * 1000
	}
	return c
}
