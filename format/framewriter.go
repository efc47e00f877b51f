package format

import (
	"fmt"
	"io"

	"github.com/klauspost/compress/zstd"
)

const (
	// bulkFrame is the content of one frame of a large member: small enough to
	// be decoded on its own, in parallel, or to be lost to a flipped bit; large
	// enough that packets grow by 1 % only against one frame for all.
	bulkFrame = 4 << 20
	// maxShared ends a frame of small members at the next border, so that it
	// stays far below the seek table's 4 GiB and readers have several to decode.
	maxShared = 64 << 20
	// writeWindow is how far back a match may lie: a /proc snapshot of a large
	// host has about 1 MiB, so each finds several predecessors in the window.
	writeWindow = 4 << 20
)

// frameWriter compresses an archive into zstd frames and remembers where each
// begins. Small members share a frame until cut; a large one has frames of its own
// (SPEC.md, "Frames").
type frameWriter struct {
	out    io.Writer
	off    int64   // written to out
	table  []frame // the closed frames
	cur    frame   // the open one
	open   bool
	enc    *zstd.Encoder
	bulk   int64 // bytes of the large member that are still to come
	failed error // the first error of out
}

// newEncoder makes an encoder without goroutines, so that the recorder's CPU use
// stays on one core, in the thread that writes. The default level is that of
// zstd -3; the fastest saves 20 % of its time and makes packets 9 % larger.
func newEncoder() (*zstd.Encoder, error) {
	return zstd.NewWriter(nil, zstd.WithEncoderLevel(zstd.SpeedDefault), zstd.WithEncoderConcurrency(1),
		zstd.WithWindowSize(writeWindow), zstd.WithEncoderCRC(true), zstd.WithLowerEncoderMem(true))
}

// cut ends the open frame, if there is one.
func (f *frameWriter) cut() error {
	if !f.open {
		return nil
	}
	f.open = false
	if err := f.enc.Close(); err != nil {
		return err
	}
	f.cur.comp = f.off - f.cur.off
	f.table = append(f.table, f.cur)
	return nil
}

// member announces a member of total bytes with header and padding, which have
// to be written next.
func (f *frameWriter) member(total int64) error {
	if total <= bulkFrame && f.cur.raw+total <= maxShared {
		return nil
	}
	if total > bulkFrame {
		f.bulk = total
	}
	return f.cut()
}

// Write compresses p into the open frame, or a new one. Of a large member it
// gives each frame exactly bulkFrame bytes, however its content comes in.
func (f *frameWriter) Write(p []byte) (n int, err error) {
	for len(p) > 0 {
		if !f.open {
			if err := f.begin(); err != nil {
				return n, err
			}
		}
		chunk := p
		if f.bulk > 0 {
			chunk = p[:min(int64(len(p)), f.bulk, bulkFrame-f.cur.raw)]
		}
		if _, err := f.enc.Write(chunk); err != nil {
			return n, err
		}
		n, p = n+len(chunk), p[len(chunk):]
		if err := f.wrote(int64(len(chunk))); err != nil {
			return n, err
		}
	}
	return n, nil
}

// wrote counts n bytes and ends a frame of a large member when it is full.
func (f *frameWriter) wrote(n int64) error {
	f.cur.raw += n
	if f.bulk == 0 {
		return nil
	}
	f.bulk -= n
	if f.bulk == 0 || f.cur.raw == bulkFrame {
		return f.cut()
	}
	return nil
}

// begin opens a frame. One of a large member carries its length in its header.
func (f *frameWriter) begin() (err error) {
	if f.enc == nil {
		if f.enc, err = newEncoder(); err != nil {
			return fmt.Errorf("make zstd encoder: %w", err)
		}
	}
	f.cur, f.open = frame{off: f.off, pos: f.cur.end()}, true
	if f.bulk > 0 {
		f.enc.ResetContentSize(sink{f}, min(f.bulk, bulkFrame))
	} else {
		f.enc.Reset(sink{f})
	}
	return nil
}

// sink counts what the encoder writes to the file.
type sink struct{ f *frameWriter }

// Write fails for ever after the first error: what an encoder might still flush
// behind a gap must not reach the file.
func (s sink) Write(p []byte) (int, error) {
	f := s.f
	if f.failed != nil {
		return 0, f.failed
	}
	n, err := f.out.Write(p)
	f.off += int64(n)
	if err == nil && n < len(p) {
		err = io.ErrShortWrite
	}
	f.failed = err
	return n, err
}

// finish ends the last frame and writes the seek table behind it. The table is
// known only now, which is why it is at the end (SPEC.md, "Seek table").
func (f *frameWriter) finish() error {
	if err := f.cut(); err != nil {
		return err
	}
	table, err := appendSeekTable(nil, f.table)
	if err != nil {
		return err
	}
	if len(f.table) > maxFrames {
		return fmt.Errorf("write seek table: %d frames, at most %d are allowed", len(f.table), maxFrames)
	}
	_, err = sink{f}.Write(table)
	return err
}
