package format

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"sort"

	"github.com/klauspost/compress/zstd"
)

// maxWindow is the largest zstd window that a reader has to accept (RFC 8878,
// section 3.1.1.1.2 recommends the same), and so the bound of its memory.
const maxWindow = 8 << 20

// errLength: a frame does not have the length that the seek table gives it.
var errLength = errors.New("its content is not as long as the seek table says")

// frameError is damage in one frame; up to content position at it could be decoded.
type frameError struct {
	index int
	frame frame
	at    int64
	err   error
}

func (e *frameError) Error() string {
	return fmt.Sprintf("decode zstd frame %d at file offset %d: %v", e.index, e.frame.off, e.err)
}

func (e *frameError) Unwrap() error { return e.err }

// content is the archive as an io.Reader whose position is set by pos: the
// concatenated content of the frames, of which it decodes only those that are
// read. A frame that is read to
// its end has been checked against its length and, unless it is known as bad,
// against its checksum.
type content struct {
	src    io.ReaderAt
	frames []frame
	size   int64 // of the archive
	pos    int64 // of the next Read; setting it costs nothing

	dec *zstd.Decoder
	in  *bufio.Reader
	cur int   // the frame in dec, -1 for none
	at  int64 // the position that dec has reached

	decoded int64             // bytes of content so far, also those that were skipped
	note    func(*frameError) // is told of all damage, if set
}

// newContent makes a decoder without goroutines of its own: several members are
// read in parallel by several contents, and nothing is left to be closed.
func newContent(src io.ReaderAt, frames []frame) (*content, error) {
	dec, err := zstd.NewReader(nil, zstd.WithDecoderConcurrency(1),
		zstd.WithDecoderLowmem(true), zstd.WithDecoderMaxWindow(maxWindow))
	if err != nil {
		return nil, fmt.Errorf("make zstd decoder: %w", err)
	}
	// The decoder asks for 3 bytes of block header at a time; 64 KiB make it few system calls.
	c := &content{src: src, frames: frames, dec: dec, in: bufio.NewReaderSize(nil, 64<<10), cur: -1}
	if n := len(frames); n > 0 {
		c.size = frames[n-1].end()
	}
	return c, nil
}

// Read reads within one frame. Data may come together with a *frameError.
func (c *content) Read(p []byte) (int, error) {
	if len(p) == 0 {
		return 0, nil
	}
	i := c.frameAt(c.pos)
	if i == len(c.frames) {
		return 0, io.EOF
	}
	if err := c.reach(i); err != nil {
		return 0, err
	}
	n, err := c.decode(p[:min(int64(len(p)), c.frames[i].end()-c.at)])
	c.pos += int64(n)
	return n, err
}

// frameAt is the index of the frame that holds the byte at pos; of len(frames),
// if none does. Empty frames hold none.
func (c *content) frameAt(pos int64) int {
	if c.cur >= 0 && c.frames[c.cur].pos <= pos && pos < c.frames[c.cur].end() {
		return c.cur
	}
	return sort.Search(len(c.frames), func(i int) bool { return c.frames[i].end() > pos })
}

// reach lets dec decode frame i up to pos.
func (c *content) reach(i int) error {
	if i != c.cur || c.at > c.pos {
		if err := c.open(i); err != nil {
			return err
		}
	}
	if c.at == c.pos {
		return nil
	}
	return c.forward()
}

// forward decodes up to pos, which is in the current frame or at its end.
func (c *content) forward() error {
	var skip [16 << 10]byte
	for {
		_, err := c.decode(skip[:min(c.pos-c.at, int64(len(skip)))])
		if err != nil || c.at == c.pos {
			return err
		}
	}
}

// open starts to decode frame i.
func (c *content) open(i int) error {
	f := c.frames[i]
	c.cur, c.at = i, f.pos
	c.in.Reset(io.NewSectionReader(c.src, f.off, f.comp))
	if err := c.dec.ResetWithOptions(c.in, zstd.IgnoreChecksum(f.bad)); err != nil {
		return c.broken(err)
	}
	return nil
}

// decode reads from dec, never beyond the frame's end; with its last byte it
// checks that the frame really ends there.
func (c *content) decode(p []byte) (int, error) {
	f := c.frames[c.cur]
	n, err := c.dec.Read(p)
	c.at += int64(n)
	c.decoded += int64(n)
	if c.at == f.end() && err == nil {
		err = c.drained()
	}
	switch {
	case err == nil:
		return n, nil
	case err != io.EOF:
		return n, c.broken(err)
	case c.at < f.end():
		return n, c.broken(errLength)
	}
	return n, nil
}

// drained reads what dec has behind the end of the frame, which is to be
// nothing; here it verifies the checksum.
func (c *content) drained() error {
	var more [1]byte
	n, err := c.dec.Read(more[:])
	if n > 0 {
		return errLength
	}
	return err
}

// broken describes damage in the current frame, which is then closed.
func (c *content) broken(err error) *frameError {
	e := &frameError{index: c.cur, frame: c.frames[c.cur], at: c.at, err: err}
	c.cur = -1
	if c.note != nil {
		c.note(e)
	}
	return e
}

// verify decodes what is left of frame i, so that it is known to be whole.
func (c *content) verify(i int) error {
	if c.cur != i {
		if err := c.open(i); err != nil {
			return err
		}
	} else if c.at == c.frames[i].end() {
		return nil
	}
	c.pos = c.frames[i].end()
	return c.forward()
}

// measure decodes all of frame i, of which only the place in the file is known,
// and sets the length of its content: if it is broken, of what can be decoded.
// The error is only one of limits: more than limit bytes of content.
func (c *content) measure(i int, limit func(int64) error) error {
	f := &c.frames[i]
	if i > 0 {
		f.pos = c.frames[i-1].end()
	}
	f.raw = 0
	err := c.open(i)
	for buf := make([]byte, 16<<10); err == nil; {
		var n int
		n, err = c.dec.Read(buf)
		f.raw += int64(n)
		c.at, c.size = f.end(), f.end()
		if err := limit(c.size); err != nil { // before a bomb costs more time
			return err
		}
	}
	if err == io.EOF || c.cur != i {
		return nil
	}
	c.broken(err) // noted
	if errors.Is(err, zstd.ErrCRCMismatch) {
		return c.measure(i, limit) // now the checksum is ignored
	}
	return nil
}
