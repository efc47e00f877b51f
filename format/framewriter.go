package format

import (
	"fmt"
	"io"

	"github.com/klauspost/compress/zstd"
)

const (
	// bulkFrame is the content of one frame of a large member: small enough to
	// be decoded on its own, in parallel, or to be lost to a flipped bit; large
	// enough that cutting costs under 1 % of the ratio.
	bulkFrame = 4 << 20
	// maxShared ends a frame of small members at the next border, so that it
	// stays far below the seek table's 4 GiB and readers have several to decode.
	maxShared = 64 << 20
	// writeWindow is how far back a match may lie: a /proc snapshot of a large
	// host has about 1 MiB, so each finds several predecessors in the window.
	writeWindow = 4 << 20
)

// frameWriter compresses an archive into zstd frames and remembers where each
// begins. Small members share a frame until cut; a large one has frames of its own.
type frameWriter struct {
	out    io.Writer
	off    int64    // written to out
	table  []frame  // the closed frames
	cur    frame    // the open one
	enc    *encoder // of the open frame, nil between frames
	small  *encoder
	large  *encoder
	bulk   int64 // bytes of the large member that are still to come
	failed error // the first error of out
}

type encoder = zstd.Encoder

// newEncoder makes an encoder without goroutines, so that the recorder's CPU use
// stays on one core and is accounted to the thread that writes.
func newEncoder(level zstd.EncoderLevel) (*encoder, error) {
	return zstd.NewWriter(nil, zstd.WithEncoderLevel(level), zstd.WithEncoderConcurrency(1),
		zstd.WithWindowSize(writeWindow), zstd.WithEncoderCRC(true), zstd.WithLowerEncoderMem(true))
}

// cut ends the open frame, if there is one.
func (f *frameWriter) cut() error {
	if f.enc == nil {
		return nil
	}
	err := f.enc.Close()
	f.enc = nil
	if err != nil {
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

// Write compresses p into the open frame, or a new one.
func (f *frameWriter) Write(p []byte) (n int, err error) {
	for len(p) > 0 {
		if f.enc == nil {
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

// begin opens a frame. Those of a large member carry their size in the header,
// by which a reader sees that the seek table tells the truth.
func (f *frameWriter) begin() (err error) {
	f.cur = frame{off: f.off, pos: f.cur.end()}
	if f.bulk > 0 {
		// The packets: at the fastest level they cost half the CPU for a few percent more bytes.
		if f.large == nil {
			f.large, err = newEncoder(zstd.SpeedFastest)
		}
		if err == nil {
			f.enc = f.large
			f.enc.ResetContentSize(sink{f}, min(f.bulk, bulkFrame))
		}
		return err
	}
	if f.small == nil {
		f.small, err = newEncoder(zstd.SpeedDefault)
	}
	if err == nil {
		f.enc = f.small
		f.enc.Reset(sink{f})
	}
	return err
}

// sink counts what the encoders write to the file.
type sink struct{ f *frameWriter }

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

// finish ends the last frame and writes the seek table.
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
