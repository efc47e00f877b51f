// Package words puts counts with their nouns, times and lists the way findings say them;
// the numbers in them are those of package unit.
package words

import (
	"fmt"
	"strconv"
	"strings"
	"time"
	"unicode"

	"github.com/spikebox/spikebox/format/unit"
)

// Plural gives a count with its noun: 1 flow, 2 flows.
func Plural[N int | int64 | uint64 | uint32](n N, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return unit.Count(n) + " " + many
}

// Of gives a part of a whole: 41 of 60 (68 %). All of it is said as such.
func Of(part, whole uint64, one, many string) string {
	switch {
	case part == whole && whole == 1:
		return "the only " + one
	case part == whole && whole == 2:
		return "both " + many
	case part == whole:
		return "all " + Plural(whole, one, many)
	}
	return fmt.Sprintf("%s of %s (%s)", unit.Count(part), Plural(whole, one, many), unit.Percent(float64(part)/float64(whole)))
}

// ClockLayout is how Clock writes a time.
const ClockLayout = "15:04:05.000"

// Clock gives the time of day with milliseconds, UTC.
func Clock(t time.Time) string { return t.UTC().Format(ClockLayout) }

// Span gives the time of day of two moments, or of one.
func Span(start, end time.Time) string {
	if from, to := Clock(start), Clock(end); from != to {
		return from + " – " + to
	}
	return Clock(start)
}

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
		parts = append(parts, unit.Digits(o))
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

// Quote gives strangers' text as a quotation: cut to what fits into a sentence, and with
// what would command a terminal written out.
func Quote(s string) string { return strconv.Quote(Clip(s)) }

// Clip cuts a text to two lines of a terminal.
func Clip(s string) string {
	const most = 160 // runes
	if len(s) <= most {
		return s
	}
	if r := []rune(s); len(r) > most {
		return string(r[:most]) + " …"
	}
	return s
}

// Sentence makes the first letter large, where the first word is one: a name, as shop-api, or an address, as fd00::20, stays what it is.
func Sentence(s string) string {
	word, _, _ := strings.Cut(s, " ")
	if strings.ContainsFunc(word, func(r rune) bool { return !unicode.IsLower(r) }) {
		return s
	}
	for i, r := range s {
		return strings.ToUpper(string(r)) + s[i+len(string(r)):]
	}
	return s
}
