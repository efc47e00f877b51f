package format

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math"
)

// The seek table is a zstd skippable frame in the layout of "Zstandard Seekable
// Format" 0.1.0 (facebook/zstd, contrib/seekable_format); SPEC.md, "Seek table".
const (
	skippableMagic  = 0x184D2A5E
	seekableMagic   = 0x8F92EAB1
	skippableHeader = 8 // magic, size of what follows
	seekEntry       = 8 // compressed size, decompressed size
	seekFooter      = 9 // number of frames, descriptor, magic
	// Bits of the descriptor.
	seekChecksums = 1 << 7    // entries have 4 more bytes; not written, frames carry checksums
	seekReserved  = 0x1F << 2 // have to be 0
)

// maxFrames bounds the memory that a seek table may cost (32 B an entry). It is
// 256 GiB of content in frames of 4 MiB.
const maxFrames = 1 << 16

// frame is one zstd frame: off and comp are its place in the file, pos and raw
// that of its content in the archive, all in bytes.
type frame struct {
	off, comp int64
	pos, raw  int64
	bad       bool // its checksum is wrong: SHA256SUMS decides about its members
}

// end is the position in the archive behind the frame's content.
func (f frame) end() int64 { return f.pos + f.raw }

// errNoTable: the file does not end with a seek table, which alone is no damage.
var errNoTable = errors.New("find seek table: there is none")

// appendSeekTable appends the skippable frame that lists frames.
func appendSeekTable(b []byte, frames []frame) ([]byte, error) {
	le := binary.LittleEndian
	b = le.AppendUint32(b, skippableMagic)
	b = le.AppendUint32(b, uint32(len(frames)*seekEntry+seekFooter))
	for i, f := range frames {
		if f.comp > math.MaxUint32 || f.raw > math.MaxUint32 {
			return nil, fmt.Errorf("write seek table: frame %d has more than 4 GiB", i)
		}
		b = le.AppendUint32(b, uint32(f.comp))
		b = le.AppendUint32(b, uint32(f.raw))
	}
	b = le.AppendUint32(b, uint32(len(frames)))
	b = append(b, 0)
	return le.AppendUint32(b, seekableMagic), nil
}

// readSeekTable reads the seek table at the end of src, size bytes long, and
// checks it against the file: its frames have to fill everything before it.
func readSeekTable(src io.ReaderAt, size int64) ([]frame, error) {
	var foot [seekFooter]byte
	if size < skippableHeader+seekFooter {
		return nil, errNoTable
	}
	if err := readFull(src, foot[:], size-seekFooter); err != nil {
		return nil, fmt.Errorf("read seek table's footer: %w", err)
	}
	le := binary.LittleEndian
	if le.Uint32(foot[5:]) != seekableMagic {
		return nil, errNoTable
	}
	if foot[4]&seekReserved != 0 {
		return nil, fmt.Errorf("read seek table: reserved bits are set in descriptor %#02x", foot[4])
	}
	n, entry := int64(le.Uint32(foot[:])), int64(seekEntry)
	if foot[4]&seekChecksums != 0 {
		entry += 4
	}
	if n == 0 || n > maxFrames {
		return nil, fmt.Errorf("read seek table: it has %d frames, 1 to %d are allowed", n, maxFrames)
	}
	// n comes from the file: only what lies in the file is allocated for it.
	start := size - seekFooter - n*entry - skippableHeader
	if start < 0 {
		return nil, fmt.Errorf("read seek table: %d frames do not fit into the file", n)
	}
	table := make([]byte, skippableHeader+n*entry)
	if err := readFull(src, table, start); err != nil {
		return nil, fmt.Errorf("read seek table at file offset %d: %w", start, err)
	}
	if le.Uint32(table) != skippableMagic || int64(le.Uint32(table[4:])) != n*entry+seekFooter {
		return nil, fmt.Errorf("read seek table at file offset %d: its frame does not begin there", start)
	}
	return tableFrames(table[skippableHeader:], int(entry), start)
}

// tableFrames decodes the entries of a seek table that begins at start.
func tableFrames(table []byte, entry int, start int64) ([]frame, error) {
	frames := make([]frame, 0, len(table)/entry)
	var next frame
	for ; len(table) > 0; table = table[entry:] {
		next.comp = int64(binary.LittleEndian.Uint32(table))
		next.raw = int64(binary.LittleEndian.Uint32(table[4:]))
		frames = append(frames, next)
		next.off, next.pos = next.off+next.comp, next.pos+next.raw
	}
	if next.off != start {
		return nil, fmt.Errorf("read seek table: its frames end at file offset %d, it begins at %d", next.off, start)
	}
	return frames, nil
}

// readFull fills b from off on; a file that ends earlier is an error.
func readFull(src io.ReaderAt, b []byte, off int64) error {
	n, err := src.ReadAt(b, off)
	if n == len(b) {
		return nil
	}
	if err == nil || err == io.EOF {
		err = io.ErrUnexpectedEOF
	}
	return err
}
