package format

import (
	"bufio"
	"errors"
	"fmt"
	"io"

	"github.com/klauspost/compress/zstd"
)

// errCut: the file ends inside a frame.
var errCut = fmt.Errorf("the file ends inside it: %w", io.ErrUnexpectedEOF)

// walkFrames finds the frames of src, size bytes long, where no seek table
// helps: by their headers and those of their blocks, without decoding (RFC 8878,
// sections 3.1.1 and 3.1.2). Behind what is no frame nothing can be found; the
// error says where that is.
func walkFrames(src io.ReaderAt, size int64) ([]frame, error) {
	var frames []frame
	in := bufio.NewReaderSize(io.NewSectionReader(src, 0, size), 64<<10)
	for off := int64(0); off < size; {
		comp, data, err := skipFrame(in)
		if err != nil { // of a frame that is cut short or broken: what there is of it
			comp = size - off
		}
		if data && len(frames) == maxFrames {
			return nil, &LimitError{What: "frames", Limit: maxFrames}
		}
		if data {
			frames = append(frames, frame{off: off, comp: comp})
		}
		if err != nil {
			return frames, fmt.Errorf("read zstd frame at file offset %d: %w", off, err)
		}
		off += comp
	}
	return frames, nil
}

// skipFrame skips the frame at which in is. It returns its length in bytes and
// whether it holds data, other than a skippable one.
func skipFrame(in *bufio.Reader) (n int64, data bool, err error) {
	head, err := in.Peek(zstd.HeaderMaxSize)
	if err != nil && err != io.EOF { // the last frame may be shorter
		return 0, false, err
	}
	var h zstd.Header
	if err := h.Decode(head); err != nil {
		return 0, !errors.Is(err, zstd.ErrMagicMismatch), cutShort(err)
	}
	if h.Skippable {
		n = int64(h.HeaderSize) + int64(h.SkippableSize)
		return n, false, skip(in, n)
	}
	n = int64(h.HeaderSize)
	if err := skip(in, n); err != nil {
		return n, true, err
	}
	for last := false; !last; {
		var block int64
		if block, last, err = skipBlock(in); err != nil {
			return n, true, err
		}
		n += block
	}
	if h.HasCheckSum {
		n += 4
		err = skip(in, 4)
	}
	return n, true, err
}

// skipBlock skips one block; last says that it is the frame's last.
func skipBlock(in *bufio.Reader) (n int64, last bool, err error) {
	var b [3]byte
	if _, err := io.ReadFull(in, b[:]); err != nil {
		return 0, false, cutShort(err)
	}
	if n, last, err = blockLength(b); err != nil {
		return 0, false, err
	}
	return 3 + n, last, skip(in, n)
}

// skip skips n bytes, which may be more than an int of 32 bits has.
func skip(in *bufio.Reader, n int64) error {
	for n > 0 {
		k, err := in.Discard(int(min(n, 1<<30)))
		if n -= int64(k); err != nil {
			return cutShort(err)
		}
	}
	return nil
}

// cutShort gives the end of the file its meaning.
func cutShort(err error) error {
	if err == io.EOF || err == io.ErrUnexpectedEOF {
		return errCut
	}
	return err
}

// blockLength decodes a block header: the length of what follows it, and whether
// it is the frame's last (RFC 8878, section 3.1.1.2).
func blockLength(b [3]byte) (n int64, last bool, err error) {
	v := int64(b[0]) | int64(b[1])<<8 | int64(b[2])<<16
	n = v >> 3
	switch v >> 1 & 3 {
	case 1: // RLE: one byte, repeated
		n = 1
	case 3:
		return 0, false, errors.New("a block is of the reserved type")
	}
	return n, v&1 == 1, nil
}
