package unit

import (
	"fmt"
	"time"
)

// Duration gives a length of time with three significant digits, as a sentence says it:
// 24.5 ms, 1.02 s, 2m10s.
func Duration(d time.Duration) string {
	switch {
	case d < 0:
		return "-" + Duration(-d)
	case d >= time.Hour && d%time.Hour == 0:
		return fmt.Sprintf("%dh", d/time.Hour)
	// A step ends where rounding to three digits would make four of it: 999.98 ms is 1 s.
	case d >= time.Minute-50*time.Millisecond:
		return d.Round(time.Second).String()
	case d >= time.Second-500*time.Microsecond:
		return Digits(d.Seconds()) + " s"
	case d >= time.Millisecond-500*time.Nanosecond:
		return Digits(float64(d)/1e6) + " ms"
	}
	return Digits(float64(d)/1e3) + " µs"
}

// ShortDuration writes a length of time in at most six characters, the width of a table's
// column, up to 100 hours: 250µs, 12.3ms, 1.02s, 17m4s.
func ShortDuration(d time.Duration) string {
	switch ns := d.Nanoseconds(); {
	// A step ends where rounding to three digits would make four of it: 999.5 µs is 1ms.
	case ns < 999_500:
		return fmt.Sprintf("%dµs", (ns+500)/1e3)
	case ns < 999_500_000:
		return fmt.Sprintf("%.3gms", float64(ns)/1e6)
	case ns < 100e9:
		return fmt.Sprintf("%.3gs", float64(ns)/1e9)
	}
	return d.Round(time.Second).String()
}
