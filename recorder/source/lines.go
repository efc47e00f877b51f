//go:build linux

package source

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
)

// lines is a member of JSON Lines that keeps at most so many, and counts all.
type lines struct {
	name   string
	stream io.WriteCloser
	out    *bufio.Writer
	enc    *json.Encoder
	most   uint64
	n      uint64
	err    error
}

// lines begins a member.
func (s *Sink) lines(name string, most uint64) (*lines, error) {
	stream, err := s.Stream(name)
	if err != nil {
		return nil, err
	}
	out := bufio.NewWriterSize(stream, 16<<10)
	return &lines{name: name, stream: stream, out: out, enc: json.NewEncoder(out), most: most}, nil
}

// room counts a line that is to come and says whether it will be kept.
func (l *lines) room() bool {
	l.n++
	return l.n <= l.most
}

// write keeps a line. The first error is told by close.
func (l *lines) write(v any) {
	if l.err == nil {
		l.err = l.enc.Encode(v)
	}
}

// lost is how many lines were not kept.
func (l *lines) lost() uint64 { return l.n - min(l.n, l.most) }

// close completes the member.
func (l *lines) close() error {
	if err := errors.Join(l.err, l.out.Flush(), l.stream.Close()); err != nil {
		return fmt.Errorf("write member %q: %w", l.name, err)
	}
	return nil
}
