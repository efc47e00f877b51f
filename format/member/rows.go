package member

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
)

const (
	// longestLine bounds a line in bytes, which is held in memory: the 3,000 counters of one
	// interface with many queues have 90 kB in static/ethtool/statistics.jsonl.
	longestLine = 1 << 20
	// mostLines bounds the lines that are parsed, of a member of which a file of some kB can
	// hold a thousand million: the recorder lists 210,000 sockets, 200,000 tracked connections
	// and 16,384 events at most.
	mostLines = 500_000
)

// CutError: a member has more lines than were read.
type CutError struct{ Read, Left int }

// Error says how many there are.
func (e *CutError) Error() string {
	return fmt.Sprintf("only the first %d lines are read: %d more are not", e.Read, e.Left)
}

// eachLine calls f for every line that is not empty, without the white space around it and
// with its number, counted from 1; the line is good until f returns. A line that cannot be
// read does not end the pass, as the rest is still evidence: the first such error is returned
// with its number. Beyond mostLines, lines are only counted: *CutError.
// An error of r comes before all others; what it left of a line is not given to f.
func eachLine(r io.Reader, f func(n int, line []byte) error) error {
	in := bufio.NewReaderSize(r, 64<<10)
	var first error
	var long []byte // scratch
	for n := 1; n <= mostLines; n++ {
		line, err := oneLine(in, &long)
		if err != nil && err != io.EOF && !errors.Is(err, errLongLine) {
			return err
		}
		ended := err == io.EOF
		if !errors.Is(err, errLongLine) {
			err = nil
			if line = bytes.TrimSpace(line); len(line) > 0 {
				err = f(n, line)
			}
		}
		if err != nil && first == nil {
			first = fmt.Errorf("line %d: %w", n, err)
		}
		if ended {
			return first
		}
	}
	return leftOver(in, first)
}

// errLongLine: a line is longer than any that a recorder writes.
var errLongLine = fmt.Errorf("it is longer than %d bytes", longestLine)

// oneLine gives the next line, and io.EOF with the last. One that does not fit into the
// reader's buffer is put together in long.
func oneLine(in *bufio.Reader, long *[]byte) ([]byte, error) {
	piece, err := in.ReadSlice('\n')
	if err != bufio.ErrBufferFull {
		return piece, err
	}
	whole, tooLong := append((*long)[:0], piece...), false
	for err == bufio.ErrBufferFull {
		piece, err = in.ReadSlice('\n')
		if tooLong = tooLong || len(whole)+len(piece) > longestLine; !tooLong {
			whole = append(whole, piece...)
		}
	}
	*long = whole
	if tooLong && err == nil {
		err = errLongLine
	}
	return whole, err
}

// leftOver counts the lines that nobody reads. Where there are none, nothing is cut.
func leftOver(in *bufio.Reader, first error) error {
	buf := make([]byte, 64<<10)
	left, last := 0, byte('\n')
	for {
		n, err := in.Read(buf) // to the end: there the content's sum is compared
		if n > 0 {
			left += bytes.Count(buf[:n], []byte{'\n'})
			last = buf[n-1]
		}
		if err == io.EOF {
			break
		}
		if err != nil {
			return err
		}
	}
	if last != '\n' {
		left++
	}
	if left == 0 {
		return first
	}
	return &CutError{Read: mostLines, Left: left}
}

// eachRow reads JSON Lines and calls f with every row. wrong
// begins the error of a line that cannot be read; accept, where there is one, looks at each
// row with its line's number and may refuse it.
func eachRow[T any](r io.Reader, wrong string, accept func(row *T, line int) error, f func(*T)) error {
	return eachLine(r, func(n int, line []byte) error {
		var row T
		if err := json.Unmarshal(line, &row); err != nil {
			return fmt.Errorf("%s: %w", wrong, err)
		}
		if accept != nil {
			if err := accept(&row, n); err != nil {
				return err
			}
		}
		f(&row)
		return nil
	})
}

// collect gives all rows of a text that is held in memory.
func collect[T any](text []byte, each func(io.Reader, func(row *T)) error) (rows []T, err error) {
	err = each(bytes.NewReader(text), func(row *T) { rows = append(rows, *row) })
	return rows, err
}
