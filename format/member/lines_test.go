package member

import (
	"bytes"
	"errors"
	"io"
	"strings"
	"testing"
	"testing/iotest"
)

// pieces reads a text a few bytes at a time.
type pieces struct {
	left []byte
	n    int
}

func (p *pieces) Read(b []byte) (int, error) {
	if len(p.left) == 0 {
		return 0, io.EOF
	}
	n := copy(b[:min(len(b), p.n)], p.left)
	p.left = p.left[n:]
	return n, nil
}

// A member of more lines than any recorder writes is read up to the bound, and the rest is
// counted; one line that is longer than any is left out and said, and the others are read.
func TestLinesAreBounded(t *testing.T) {
	read := func(r io.Reader) (n int, err error) {
		err = eachLine(r, func(int, []byte) error { n++; return nil })
		return n, err
	}
	n, err := read(strings.NewReader(strings.Repeat("x\n", mostLines+3) + "y"))
	var cut *CutError
	if !errors.As(err, &cut) || n != mostLines || cut.Left != 4 {
		t.Errorf("%d lines, error %v; want %d, and 4 that are not read", n, err, mostLines)
	}
	if n, err := read(strings.NewReader(strings.Repeat("x\n", mostLines))); err != nil || n != mostLines {
		t.Errorf("%d lines, error %v; want all and none", n, err)
	}
	n, err = read(strings.NewReader("a\n" + strings.Repeat("x", longestLine+1) + "\nb\n"))
	if n != 2 || !errors.Is(err, errLongLine) || !strings.HasPrefix(err.Error(), "line 2:") {
		t.Errorf("%d lines, error %v; want the two others, and that line 2 is too long", n, err)
	}
}

// Where reading ends in an error, the line that it broke is not given to anybody.
func TestLinesOfBrokenContent(t *testing.T) {
	broken := errors.New("broken")
	var got []string
	err := eachLine(io.MultiReader(bytes.NewReader([]byte("a\nb")), iotest.ErrReader(broken)), func(_ int, line []byte) error {
		got = append(got, string(line))
		return nil
	})
	if !errors.Is(err, broken) || len(got) != 1 {
		t.Errorf("lines %q, error %v", got, err)
	}
}
