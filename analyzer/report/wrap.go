package report

import (
	"strings"
	"unicode/utf8"

	"github.com/spikebox/spikebox/format/plain"
)

// runes is the width of a text that holds no wide characters, in columns.
func runes(s string) int { return utf8.RuneCountInString(s) }

// wrap breaks text at blanks into lines of at most width columns. A number stays with
// its unit. A word that is longer than a line stands alone and sticks out: cutting names
// or paths would make them useless.
func wrap(text string, width int) []string {
	var lines []string
	line, used := strings.Builder{}, 0
	for _, word := range bound(strings.Fields(text)) {
		// Before it is measured: an escape has a width, a control character has none.
		word = plain.Line(word)
		n := runes(word)
		if used > 0 && used+1+n > width {
			lines = append(lines, line.String())
			line.Reset()
			used = 0
		}
		if used > 0 {
			line.WriteByte(' ')
			used++
		}
		line.WriteString(word)
		used += n
	}
	if used > 0 {
		lines = append(lines, line.String())
	}
	return lines
}

// bound joins numbers with the units behind them.
func bound(words []string) []string {
	var all []string
	for _, w := range words {
		last := len(all) - 1
		switch strings.TrimRight(w, ".,:;)") {
		case "s", "ms", "µs", "%":
			if last >= 0 && endsInDigit(all[last]) {
				all[last] += " " + w
				continue
			}
		}
		all = append(all, w)
	}
	return all
}

// endsInDigit says whether a word may be a number; words are never empty.
func endsInDigit(word string) bool {
	c := word[len(word)-1]
	return c >= '0' && c <= '9'
}
