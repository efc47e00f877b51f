// Package plain is the door through which text of strangers goes to people: to a terminal,
// a log, a report, a spreadsheet. Whoever made a bundle, named an interface or a process,
// or wrote a line of the kernel log may have written what commands a terminal (ECMA-48,
// also as C1) or turns the order of what is read around (Unicode UAX #9).
//
// What is shown is what [unicode.IsPrint] takes: letters, marks, numbers, punctuation,
// symbols and the blank. Anything else is escaped as JSON does it (RFC 8259 §7): \u001b,
// \u202e, \udb40\udc41. So one door serves text and JSON: outside of its strings JSON is
// ASCII, and inside an escape means the same character.
package plain

import (
	"fmt"
	"strings"
	"unicode"
	"unicode/utf16"
	"unicode/utf8"
)

// Line gives text for the inside of a line: line feeds and tabs are escaped as well, so
// that a stranger can neither begin a line nor another column. Bytes that are not UTF-8
// become U+FFFD.
func Line(s string) string {
	if clean(s, "") == len(s) {
		return s
	}
	return string(appendPlain(nil, []byte(s), ""))
}

// Row joins cells for a tabwriter.
func Row(cells ...string) string {
	safe := make([]string, len(cells))
	for i, c := range cells {
		safe[i] = Line(c)
	}
	return strings.Join(safe, "\t")
}

// clean is the length of what s begins with and can be printed as it is. Layout is what
// of the control characters may stay.
func clean[T string | []byte](s T, layout string) int {
	for i := 0; i < len(s); {
		if len(s)-i >= 8 && printable(s[i:i+8]) {
			i += 8
			continue
		}
		if c := s[i]; c >= ' ' && c < 0x7f || c < ' ' && strings.IndexByte(layout, c) >= 0 {
			i++
			continue
		}
		r, size := utf8.DecodeRuneInString(string(s[i:min(i+utf8.UTFMax, len(s))]))
		if r == utf8.RuneError && size <= 1 || !unicode.IsPrint(r) {
			return i
		}
		i += size
	}
	return len(s)
}

// printable says whether the first eight bytes are ASCII that prints: nearly all of any text is, and so it
// is read eight times as fast.
func printable[T string | []byte](s T) bool {
	_ = s[7]
	x := uint64(s[0]) | uint64(s[1])<<8 | uint64(s[2])<<16 | uint64(s[3])<<24 |
		uint64(s[4])<<32 | uint64(s[5])<<40 | uint64(s[6])<<48 | uint64(s[7])<<56
	const each = 0x0101010101010101
	// The highest bit of a byte is set in x+1 from DEL on, and in x-' ' of control characters.
	return (x|(x+each)|(x-' '*each))&(0x80*each) == 0
}

// appendPlain appends p to out, with what is hidden escaped.
func appendPlain(out, p []byte, layout string) []byte {
	for len(p) > 0 {
		n := clean(p, layout)
		out, p = append(out, p[:n]...), p[n:]
		if len(p) == 0 {
			break
		}
		r, size := utf8.DecodeRune(p)
		p = p[size:]
		switch hi, lo := utf16.EncodeRune(r); {
		case r == utf8.RuneError: // size 1: U+FFFD itself is shown
			out = utf8.AppendRune(out, utf8.RuneError)
		case hi != utf8.RuneError:
			out = fmt.Appendf(out, `\u%04x\u%04x`, hi, lo)
		default:
			out = fmt.Appendf(out, `\u%04x`, r)
		}
	}
	return out
}
