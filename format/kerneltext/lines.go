package kerneltext

import (
	"bytes"
	"fmt"
	"strconv"
)

// Lines calls line for every non-empty line of text, with its number counted from 1 and
// without the white space around it.
// A line that cannot be read does not end the pass: the rest of the text is still
// evidence. The first such error is returned, with its line number.
func Lines(text []byte, line func(n int, b []byte) error) error {
	var first error
	for n := 1; len(text) > 0; n++ {
		var b []byte
		b, text, _ = bytes.Cut(text, []byte{'\n'})
		if b = bytes.TrimSpace(b); len(b) == 0 {
			continue
		}
		if err := line(n, b); err != nil && first == nil {
			first = fmt.Errorf("line %d: %w", n, err)
		}
	}
	return first
}

// Number reads a decimal number; kernel texts print a few of them signed. Counters beyond
// 2^53 lose their last digits.
func Number(field []byte) (float64, error) {
	// Tried in the other order, each -1 would cost the error that ParseUint makes.
	if len(field) > 0 && (field[0] == '-' || field[0] == '+') {
		if i, err := strconv.ParseInt(string(field), 10, 64); err == nil {
			return float64(i), nil
		}
	}
	u, err := strconv.ParseUint(string(field), 10, 64)
	if err != nil {
		return 0, fmt.Errorf("%q is not a number", Clip(field))
	}
	return float64(u), nil
}

// Counter reads an unsigned decimal counter.
func Counter(field []byte) (uint64, error) {
	u, err := strconv.ParseUint(string(field), 10, 64)
	if err != nil {
		return 0, fmt.Errorf("%q is not a counter", Clip(field))
	}
	return u, nil
}

// counters reads as many fields as there are targets.
func counters(fields [][]byte, into ...*uint64) error {
	if len(fields) < len(into) {
		return fmt.Errorf("%d columns, want %d", len(fields), len(into))
	}
	for i, to := range into {
		v, err := Counter(fields[i])
		if err != nil {
			return fmt.Errorf("column %d: %w", i+1, err)
		}
		*to = v
	}
	return nil
}

// Clip keeps a quoted piece of hostile input short.
func Clip(b []byte) []byte {
	const longest = 40
	if len(b) > longest {
		return b[:longest]
	}
	return b
}

// fields appends the words of a line to into: bytes.Fields without an allocation where into
// has room for them.
func fields(into [][]byte, line []byte) [][]byte {
	for first, rest := word(line); len(first) > 0; first, rest = word(rest) {
		into = append(into, first)
	}
	return into
}

// word cuts the first word off a text; it is empty where there is none.
func word(text []byte) (first, rest []byte) {
	start := 0
	for start < len(text) && blank(text[start]) {
		start++
	}
	end := start
	for end < len(text) && !blank(text[end]) {
		end++
	}
	return text[start:end], text[end:]
}

// blank says what is between words.
func blank(c byte) bool { return c == ' ' || '\t' <= c && c <= '\r' }
