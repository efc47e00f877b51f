//go:build linux

package source

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"

	"github.com/klauspost/compress/zstd"
)

// Sink takes what a source collects. Large members are held compressed, so that a host
// with 100,000 sockets costs a few MiB until the bundle is written.
type Sink struct {
	Members []*Member
	Partial string // why the source gives less than all; set by the source
	Lost    uint64
	Unit    string // of Lost
	Details map[string]string

	mu     sync.Mutex // of Members and what they hold, until sealed
	open   []*Stream
	sealed bool
}

const (
	// sinkWindow is small, because several sources collect at once: lines of sockets and
	// connections repeat themselves within a few hundred bytes.
	sinkWindow = 256 << 10
	// sinkBuffer spares the compressor single lines.
	sinkBuffer = 64 << 10
)

// errSealed is for a source that writes on after its time.
var errSealed = errors.New("the time for this source is over")

// Member is one member of the bundle, held until it is written.
type Member struct {
	Name string
	Size int64
	raw  []byte
	z    *bytes.Buffer // in place of raw
}

// Add keeps a small member.
func (s *Sink) Add(name string, data []byte) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.sealed {
		s.Members = append(s.Members, &Member{Name: name, Size: int64(len(data)), raw: bytes.Clone(data)})
	}
}

// Stream keeps a member of lines, of any size, compressed. The member is complete after Close.
func (s *Sink) Stream(name string) (*Stream, error) {
	m := &Member{Name: name, z: &bytes.Buffer{}}
	enc, err := zstd.NewWriter(m.z, zstd.WithEncoderConcurrency(1), zstd.WithEncoderLevel(zstd.SpeedFastest),
		zstd.WithWindowSize(sinkWindow), zstd.WithLowerEncoderMem(true))
	if err != nil {
		return nil, fmt.Errorf("compress member %q: %w", name, err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.sealed {
		return nil, errSealed
	}
	stream := &Stream{sink: s, member: m, buf: bufio.NewWriterSize(enc, sinkBuffer), enc: enc}
	s.Members = append(s.Members, m)
	s.open = append(s.open, stream)
	return stream, nil
}

// Stream is a member that is being written.
type Stream struct {
	sink   *Sink
	member *Member
	buf    *bufio.Writer
	enc    *zstd.Encoder
	whole  int64 // bytes to the end of the last whole line
	lines  int
	closed bool
}

// Write takes some more of the member. It fails once the source's time is over.
func (s *Stream) Write(p []byte) (int, error) {
	s.sink.mu.Lock()
	defer s.sink.mu.Unlock()
	if s.sink.sealed {
		return 0, errSealed
	}
	n, err := s.buf.Write(p)
	if end := bytes.LastIndexByte(p[:n], '\n'); end >= 0 {
		s.whole = s.member.Size + int64(end) + 1
		s.lines += bytes.Count(p[:n], []byte{'\n'})
	}
	s.member.Size += int64(n)
	return n, err
}

// Close completes the member.
func (s *Stream) Close() error {
	s.sink.mu.Lock()
	defer s.sink.mu.Unlock()
	if s.sink.sealed {
		return errSealed
	}
	return s.finish()
}

// finish writes what is buffered. The caller holds the sink's lock.
func (s *Stream) finish() error {
	if s.closed {
		return nil
	}
	s.closed = true
	return errors.Join(s.buf.Flush(), s.enc.Close())
}

// seal ends the collecting: whoever still writes is refused. It gives what there is, members
// that were not complete to the end of their last line, and says of them where they end.
func (s *Sink) seal() (kept *Sink, missing string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.sealed = true
	var ends []string
	for _, stream := range s.open {
		if stream.closed {
			continue
		}
		stream.member.Size = stream.whole
		if err := stream.finish(); err != nil {
			stream.member.Size = 0
		}
		ends = append(ends, fmt.Sprintf("%s ends after %d lines", stream.member.Name, stream.lines))
	}
	kept = &Sink{}
	for _, m := range s.Members {
		if m.Size > 0 {
			kept.Members = append(kept.Members, m)
		}
	}
	return kept, strings.Join(append(ends, "what was to follow is missing"), ", ")
}

// names gives the members as the manifest lists them: the member itself, or the folder
// below static/ for the many small ones.
func (s *Sink) names() (names []string) {
	seen := map[string]bool{}
	for _, m := range s.Members {
		name := m.Name
		if folder, ok := staticFolder(name); ok {
			name = folder
		}
		if !seen[name] {
			seen[name] = true
			names = append(names, name)
		}
	}
	return names
}

// Held is what the member takes as it is held, in bytes: compressed where it is large.
func (m *Member) Held() int64 {
	if m.z == nil {
		return int64(len(m.raw))
	}
	return int64(m.z.Len())
}

// WriteTo writes the member's content, Size bytes.
func (m *Member) WriteTo(w io.Writer) (int64, error) {
	if m.z == nil {
		n, err := w.Write(m.raw)
		return int64(n), err
	}
	dec, err := zstd.NewReader(bytes.NewReader(m.z.Bytes()), zstd.WithDecoderConcurrency(1))
	if err != nil {
		return 0, fmt.Errorf("decompress member %q: %w", m.Name, err)
	}
	defer dec.Close()
	return io.CopyN(w, dec, m.Size)
}
