// Package words writes numbers, times and lists the way findings say them: short,
// with units, and the same everywhere.
package words

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"
)

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

// Plural gives a count with its noun: 1 flow, 2 flows.
func Plural[N int | int64 | uint64 | uint32](n N, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return Count(n) + " " + many
}

// Of gives a part of a whole: 41 of 60 (68 %). All of it is said as such.
func Of(part, whole uint64, one, many string) string {
	switch {
	case part == whole && whole == 1:
		return "the only " + one
	case part == whole:
		return "all " + Plural(whole, one, many)
	}
	return fmt.Sprintf("%s of %s (%s)", Count(part), Plural(whole, one, many), Percent(float64(part)/float64(whole)))
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

// Duration gives a length of time with three significant digits: 24.5 ms, 1.02 s, 2m10s.
func Duration(d time.Duration) string {
	switch {
	case d < 0:
		return "-" + Duration(-d)
	case d >= time.Minute:
		return d.Round(time.Second).String()
	case d >= time.Second:
		return digits(d.Seconds()) + " s"
	case d >= time.Millisecond:
		return digits(float64(d)/1e6) + " ms"
	}
	return digits(float64(d)/1e3) + " µs"
}

// digits gives three significant digits of a number below 1000.
func digits(v float64) string {
	precision := 2
	switch {
	case v >= 100:
		precision = 0
	case v >= 10:
		precision = 1
	}
	s := strconv.FormatFloat(v, 'f', precision, 64)
	if strings.Contains(s, ".") {
		s = strings.TrimRight(strings.TrimRight(s, "0"), ".")
	}
	return s
}

// Clock gives the time of day with milliseconds, UTC.
func Clock(t time.Time) string { return t.UTC().Format("15:04:05.000") }

// Seconds gives offsets as a series of seconds: 1.01, 3.02, 7.18 s. Beyond ten the
// rest is left out.
func Seconds(offsets []float64) string {
	const most = 10
	var parts []string
	for i, o := range offsets {
		if i == most {
			parts = append(parts, "…")
			break
		}
		parts = append(parts, digits(o))
	}
	return strings.Join(parts, ", ") + " s"
}

// List joins words: a, b and c.
func List(words []string) string {
	switch len(words) {
	case 0:
		return ""
	case 1:
		return words[0]
	}
	last := len(words) - 1
	return strings.Join(words[:last], ", ") + " and " + words[last]
}

// Sentence makes the first letter large.
func Sentence(s string) string {
	for i, r := range s {
		return strings.ToUpper(string(r)) + s[i+len(string(r)):]
	}
	return s
}
