package evidence

import (
	"bytes"
	"fmt"
	"strconv"
)

// lines calls line for every non-empty line of text, with its number counted from 1 and
// without the white space around it.
// A line that cannot be read does not end the pass: the rest of the text is still
// evidence. The first such error is returned, with its line number.
func lines(text []byte, line func(n int, b []byte) error) error {
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

// number reads a decimal number; kernel texts print a few of them signed.
func number(field []byte) (float64, error) {
	if u, err := strconv.ParseUint(string(field), 10, 64); err == nil {
		return float64(u), nil
	}
	i, err := strconv.ParseInt(string(field), 10, 64)
	if err != nil {
		return 0, fmt.Errorf("%q is not a number", clip(field))
	}
	return float64(i), nil
}

// counter reads an unsigned decimal counter.
func counter(field []byte) (uint64, error) {
	u, err := strconv.ParseUint(string(field), 10, 64)
	if err != nil {
		return 0, fmt.Errorf("%q is not a counter", clip(field))
	}
	return u, nil
}

// counters reads as many fields as there are targets.
func counters(fields [][]byte, into ...*uint64) error {
	if len(fields) < len(into) {
		return fmt.Errorf("%d columns, want %d", len(fields), len(into))
	}
	for i, to := range into {
		v, err := counter(fields[i])
		if err != nil {
			return fmt.Errorf("column %d: %w", i+1, err)
		}
		*to = v
	}
	return nil
}

// clip keeps a quoted piece of hostile input short.
func clip(b []byte) []byte {
	const longest = 40
	if len(b) > longest {
		return b[:longest]
	}
	return b
}
