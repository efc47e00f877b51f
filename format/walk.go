package format

import (
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
	for off := int64(0); off < size; {
		comp, data, err := frameLength(src, off, size)
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

// frameLength is the length in bytes of the frame at off and whether it holds
// data. Of a frame that is cut short or broken it is what there is of it.
func frameLength(src io.ReaderAt, off, size int64) (comp int64, data bool, err error) {
	h, err := frameHeader(src, off, size)
	if err != nil {
		return size - off, !errors.Is(err, zstd.ErrMagicMismatch), err
	}
	if h.Skippable {
		comp = int64(h.HeaderSize) + int64(h.SkippableSize)
		if comp > size-off {
			return size - off, false, errCut
		}
		return comp, false, nil
	}
	comp = int64(h.HeaderSize)
	for last := false; !last; {
		var b [3]byte
		if off+comp+3 > size {
			return size - off, true, errCut
		}
		if err := readFull(src, b[:], off+comp); err != nil {
			return size - off, true, err
		}
		var n int64
		if n, last, err = blockLength(b); err != nil {
			return size - off, true, err
		}
		comp += n
	}
	if h.HasCheckSum {
		comp += 4
	}
	if comp > size-off {
		return size - off, true, errCut
	}
	return comp, true, nil
}

// blockLength decodes a block header: the length of the block with it, and
// whether it is the frame's last (RFC 8878, section 3.1.1.2).
func blockLength(b [3]byte) (n int64, last bool, err error) {
	v := int64(b[0]) | int64(b[1])<<8 | int64(b[2])<<16
	n = v >> 3
	switch v >> 1 & 3 {
	case 1: // RLE: one byte, repeated
		n = 1
	case 3:
		return 0, false, errors.New("a block is of the reserved type")
	}
	return 3 + n, v&1 == 1, nil
}

// frameHeader reads the header of the frame at off.
func frameHeader(src io.ReaderAt, off, size int64) (h zstd.Header, err error) {
	b := make([]byte, min(zstd.HeaderMaxSize, size-off))
	if err := readFull(src, b, off); err != nil {
		return h, err
	}
	err = h.Decode(b)
	if errors.Is(err, io.ErrUnexpectedEOF) {
		err = errCut
	}
	return h, err
}
