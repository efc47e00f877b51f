//go:build linux

package source

import (
	"errors"
	"fmt"

	"github.com/spikebox/spikebox/format/member"
)

// lines is a member of JSON Lines that keeps at most so many, and counts all.
type lines[T any] struct {
	name   string
	stream *Stream
	rows   *member.Writer[T]
	most   uint64
	n      uint64
	err    error
}

// newLines begins a member.
func newLines[T any](s *Sink, name string, most uint64) (*lines[T], error) {
	stream, err := s.Stream(name)
	if err != nil {
		return nil, err
	}
	return &lines[T]{name: name, stream: stream, rows: member.NewWriter[T](stream), most: most}, nil
}

// room counts a line that is to come and says whether it will be kept.
func (l *lines[T]) room() bool {
	l.n++
	return l.n <= l.most
}

// write keeps a line. The first error is told by close.
func (l *lines[T]) write(row *T) {
	if l.err == nil {
		l.err = l.rows.Write(row)
	}
}

// lost is how many lines were not kept.
func (l *lines[T]) lost() uint64 { return l.n - min(l.n, l.most) }

// close completes the member.
func (l *lines[T]) close() error {
	if err := errors.Join(l.err, l.stream.Close()); err != nil {
		return fmt.Errorf("write member %q: %w", l.name, err)
	}
	return nil
}
