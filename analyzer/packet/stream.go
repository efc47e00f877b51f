package packet

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"
)

const (
	// 256 KiB: large enough that a read costs nothing per packet, small enough for the L2 cache.
	streamBuffer = 256 << 10
	// 64 MiB: what `zstd --ultra -22` needs is 128 MiB, which nobody uses on captures; a larger
	// window would let a small hostile file take the analyst's memory.
	maxWindow = 64 << 20
)

// stream hands out consecutive pieces of a reader without copying them, and knows its offset.
type stream struct {
	r        io.Reader
	buf      []byte
	pos, end int
	off      int64 // offset of buf[0] in the input
	err      error // what ended reading, io.EOF included
}

// newStream returns a stream over the decompressed content of r.
func newStream(r io.Reader) (*stream, func(), error) {
	plain, closer, err := decompress(r)
	if err != nil {
		return nil, nil, err
	}
	return &stream{r: plain, buf: make([]byte, streamBuffer)}, closer, nil
}

// Magic numbers of compressed data: RFC 1952 §2.3.1 and RFC 8878 §3.1.
var (
	gzipMagic = []byte{0x1f, 0x8b}
	zstdMagic = []byte{0x28, 0xb5, 0x2f, 0xfd}
)

// decompress returns the plain content of r, and what has to be called when it is no longer read.
func decompress(r io.Reader) (io.Reader, func(), error) {
	packed := &counter{r: r}
	br := bufio.NewReaderSize(packed, 64<<10)
	// Less than four bytes are for the reader of captures to refuse, by the file's name.
	first, err := br.Peek(4)
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, nil, err
	}
	switch {
	case bytes.HasPrefix(first, gzipMagic):
		z, err := gzip.NewReader(br)
		if err != nil {
			return nil, nil, fmt.Errorf("open gzip data: %w", err)
		}
		return &unpacked{r: z, packed: packed}, func() { z.Close() }, nil
	case bytes.HasPrefix(first, zstdMagic):
		z, err := zstd.NewReader(br, zstd.WithDecoderConcurrency(1), zstd.WithDecoderLowmem(true),
			zstd.WithDecoderMaxWindow(maxWindow))
		if err != nil {
			return nil, nil, fmt.Errorf("open zstd data: %w", err)
		}
		return &unpacked{r: z, packed: packed}, z.Close, nil
	}
	return br, func() {}, nil
}

const (
	// A compressed capture may unpack to so many times its size, once it is longer than unpackedFloor:
	// a file of 64 MiB could else keep a reader busy for hours. Headers alone shrink to a tenth, captures
	// with payload to a third; who trusts a longer one decompresses it before.
	maxUnpacked   = 30
	unpackedFloor = 1 << 30
)

// errUnpacked ends a capture that unpacks to more than any real one.
var errUnpacked = fmt.Errorf("it unpacks to more than %d GiB and %d times its size: nothing beyond is read, unless you decompress it yourself", unpackedFloor>>30, maxUnpacked)

// counter counts what is read of a compressed input.
type counter struct {
	r io.Reader
	n int64
}

// Read reads on and counts.
func (c *counter) Read(b []byte) (int, error) {
	n, err := c.r.Read(b)
	c.n += int64(n)
	return n, err
}

// unpacked is the content of a compressed input, as far as its size is plausible.
type unpacked struct {
	r      io.Reader
	packed *counter
	n      int64
}

// Read reads on.
func (u *unpacked) Read(b []byte) (int, error) {
	if u.n > unpackedFloor && u.n/maxUnpacked > u.packed.n {
		return 0, errUnpacked
	}
	n, err := u.r.Read(b)
	u.n += int64(n)
	return n, err
}

// offset returns where the next byte is in the decompressed input.
func (s *stream) offset() int64 { return s.off + int64(s.pos) }

// peek returns the next n bytes without consuming them. Fewer mean the end of the input: the error
// is then io.EOF when there are none, and what ended the input otherwise. The bytes are valid until
// the next call.
func (s *stream) peek(n int) ([]byte, error) {
	if s.end-s.pos < n {
		s.fill(n)
	}
	if have := s.end - s.pos; have < n {
		if have == 0 || s.err != io.EOF {
			return s.buf[s.pos:s.end], s.err
		}
		return s.buf[s.pos:s.end], io.ErrUnexpectedEOF
	}
	return s.buf[s.pos : s.pos+n : s.pos+n], nil
}

// take returns the next n bytes and consumes them.
func (s *stream) take(n int) ([]byte, error) {
	b, err := s.peek(n)
	if err == nil {
		s.pos += n
	}
	return b, err
}

// fill reads until n bytes are there or the input ends. The buffer grows with what has come, not with
// what a damaged length claims.
func (s *stream) fill(n int) {
	s.end = copy(s.buf, s.buf[s.pos:s.end])
	s.off += int64(s.pos)
	s.pos = 0
	for s.end < n && s.err == nil {
		if s.end == len(s.buf) {
			s.buf = append(s.buf, make([]byte, len(s.buf))...)
		}
		var got int
		got, s.err = s.r.Read(s.buf[s.end:])
		s.end += got
	}
}
