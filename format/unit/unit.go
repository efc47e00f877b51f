// Package unit writes numbers for people and reads what people wrote: the units of
// vitals and series (SPEC.md, "Manifest"), and every notation of them that the
// commands use. The notations differ on purpose; each is written down once, here:
//
//	notation            example               where
//	[Format], [Parse]   200ms 80% 64MiB       limits of triggers: log, calibrate, --trigger
//	[Measured]          30ms 80% 18/s         values beside such limits: replay
//	[Prose]             24.5 ms, 5.5 %, 3/s   sentences and evidence of the report
//	[Duration] [Percent] [Number] [Count]     the same, where the unit is known
//	[Size]              12.3 MiB              inspect, verify
//	[FormatSize], [ParseSize], [FormatShare], [ParseShare]    64MiB, 10%: flags
//	[ShortDuration] [ShortSize] [Figure]      columns of tables, of a fixed width
//	[AppendDecimal]     20.05                 CSV
package unit

import (
	"bytes"
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"
)

// The units that vitals and series have. Others name what is counted: packets, bytes.
const (
	Seconds   = "s"
	One       = "1" // a count of what the name says
	PerSecond = "1/s"
	Ratio     = "ratio" // 1 is all of it
	Bytes     = "B"
)

// Measured writes a value beside a limit: as Format does, but with three digits where a
// measurement has no more to say, and with "/s" where a limit leaves the rate unsaid.
func Measured(v float64, unit string) string {
	switch unit {
	case Seconds:
		return time.Duration(v * 1e9).Round(time.Microsecond).String()
	case Ratio:
		return fmt.Sprintf("%.3g%%", v*100)
	case PerSecond:
		return fmt.Sprintf("%.3g/s", v)
	}
	return fmt.Sprintf("%.6g", v)
}

// Prose writes a value with its unit as a sentence says it. A unit that is a word in the
// plural loses its s at 1.
func Prose(v float64, unit string) string {
	switch unit {
	case Seconds:
		return Duration(time.Duration(v * 1e9))
	case Ratio:
		return Percent(v)
	case "", One:
		return Number(v)
	case PerSecond:
		return Number(v) + "/s"
	case Bytes, Bytes + "/s":
		const exact = 10 << 10 // below, whole bytes are as short
		if math.Abs(v) >= exact && math.Abs(v) < 1<<62 {
			return Size(int64(v)) + unit[1:]
		}
	}
	if v == 1 && strings.HasSuffix(unit, "s") {
		unit = strings.TrimSuffix(unit, "s")
	}
	return Number(v) + " " + unit
}

// Count gives a whole number with thousands separated: 1,234,567.
func Count[N int | int64 | uint64 | uint32](n N) string {
	digits := strconv.FormatInt(int64(n), 10)
	sign := ""
	if digits[0] == '-' {
		sign, digits = "-", digits[1:]
	}
	for i := len(digits) - 3; i > 0; i -= 3 {
		digits = digits[:i] + "," + digits[i:]
	}
	return sign + digits
}

// Number gives a value with three significant digits and no trailing zeros; from 1000 on
// it is rounded to a whole number.
func Number(v float64) string {
	if (v == math.Trunc(v) || math.Abs(v) >= 1000) && math.Abs(v) < 1e15 {
		return Count(int64(math.Round(v)))
	}
	return strconv.FormatFloat(v, 'g', 3, 64)
}

// Percent gives a ratio in percent, finer where it is small.
func Percent(ratio float64) string {
	p := ratio * 100
	switch {
	case p > 0 && p < 0.01:
		return "< 0.01 %"
	case p < 1:
		return strconv.FormatFloat(p, 'f', 2, 64) + " %"
	case p < 10:
		return strconv.FormatFloat(p, 'f', 1, 64) + " %"
	}
	return strconv.FormatFloat(p, 'f', 0, 64) + " %"
}

// Figure writes a number in at most ten characters, the width of a table's column: whole
// ones below a thousand millions as they are, others with four significant digits.
func Figure(v float64) string {
	if v == math.Trunc(v) && math.Abs(v) < 1e9 {
		return strconv.FormatInt(int64(v), 10)
	}
	return strconv.FormatFloat(v, 'g', 4, 64)
}

// Digits gives three significant digits of a number below 1000, and no trailing zeros.
func Digits(v float64) string {
	precision := 2
	switch {
	case v >= 100:
		precision = 0
	case v >= 10:
		precision = 1
	}
	return string(appendFixed(nil, v, precision))
}

// AppendDecimal appends a number with three digits behind the point and no trailing zeros:
// milliseconds to the microsecond, which is how fine captures' clocks are.
func AppendDecimal(b []byte, v float64) []byte { return appendFixed(b, v, 3) }

// appendFixed cuts the zeros behind the point, and the point where nothing is left behind it.
func appendFixed(b []byte, v float64, precision int) []byte {
	begin := len(b)
	b = strconv.AppendFloat(b, v, 'f', precision, 64)
	if bytes.IndexByte(b[begin:], '.') >= 0 {
		b = bytes.TrimRight(bytes.TrimRight(b, "0"), ".")
	}
	return b
}
