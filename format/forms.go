package format

import (
	"bufio"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/klauspost/compress/zstd"
)

// Open opens the bundle at path, in any form in which people move bundles: the file that
// the recorder wrote, its tar archive in gzip or as it is, the folder that it was unpacked
// into, or a pipe that gives one of the files. The error is ErrNotBundle, a *VersionError or a
// *LimitError where it is one of those; damage alone is none (see Damage).
func Open(path string, lim Limits) (*Reader, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("open bundle: %w", err)
	}
	r, err := openFile(f, lim)
	if err != nil {
		return nil, fmt.Errorf("open bundle %s: %w", path, err)
	}
	return r, nil
}

// openFile opens what f is, and closes f with it or without.
func openFile(f *os.File, lim Limits) (*Reader, error) {
	info, err := f.Stat()
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	switch {
	case info.IsDir():
		defer f.Close()
		return openUnpacked(f.Name(), lim)
	case !info.Mode().IsRegular() || packedOtherwise(f):
		defer f.Close()
		return OpenStream(f, lim)
	}
	r, err := NewReader(f, info.Size(), lim)
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	r.closer = f
	return r, nil
}

// packedOtherwise tells an archive that is not in zstd.
func packedOtherwise(f *os.File) bool {
	first := make([]byte, SniffLen)
	n, _ := f.ReadAt(first, 0) // a short file is no error; one that cannot be read is NewReader's
	return Describe(first[:n]) != Zstd && IsBundle(first[:n])
}

// OpenStream reads a bundle's file to its end, in any of its forms, and opens what it has read:
// the index of a bundle is at its end, so that it is kept in a temporary file.
func OpenStream(from io.Reader, lim Limits) (*Reader, error) {
	count := &counter{r: from}
	in := bufio.NewReaderSize(count, SniffLen)
	first := sniff(in)
	if !IsBundle(first) {
		return nil, &StreamError{DescribeContent(first)}
	}
	lim = lim.orDefault()
	s, err := newSpool()
	if err != nil {
		return nil, err
	}
	var broken error
	switch Describe(first) {
	case Zstd:
		broken, err = s.copy(s, in, func(n int64) error { return lim.content(n, n) })
	case Gzip:
		dec, zerr := gzip.NewReader(in)
		if zerr != nil {
			return nil, errors.Join(fmt.Errorf("read bundle: %w", zerr), s.Close())
		}
		broken, err = s.pack(dec, func(n int64) error { return lim.content(n, count.n) })
	default:
		broken, err = s.pack(in, func(n int64) error { return lim.content(n, count.n) })
	}
	if err != nil {
		return nil, errors.Join(err, s.Close())
	}
	return s.reader(lim, broken)
}

// StreamError is ErrNotBundle with what a stream is, which nobody can read again: "a packet capture".
type StreamError struct{ What string }

func (e *StreamError) Error() string { return "read bundle: it is " + e.What }

// Is makes it ErrNotBundle.
func (e *StreamError) Is(target error) bool { return target == ErrNotBundle }

// counter counts what is read through it.
type counter struct {
	r io.Reader
	n int64
}

func (c *counter) Read(p []byte) (int, error) {
	n, err := c.r.Read(p)
	c.n += int64(n)
	return n, err
}

// spool is the temporary file of a bundle that came in another form than the recorder's.
type spool struct {
	*os.File
	named bool // the system keeps a name for what is open
}

// newSpool makes one. Its name goes at once, where the system allows it, so that nothing stays behind
// whatever ends the program.
func newSpool() (*spool, error) {
	f, err := os.CreateTemp("", "spikebox-*")
	if err != nil {
		return nil, fmt.Errorf("keep the bundle in a temporary file: %w", err)
	}
	return &spool{f, os.Remove(f.Name()) != nil}, nil
}

// Close gives its room back.
func (s *spool) Close() error {
	err := s.File.Close()
	if s.named {
		err = errors.Join(err, os.Remove(s.Name()))
	}
	return err
}

// reader opens what was kept. broken is why that is not all.
func (s *spool) reader(lim Limits, broken error) (*Reader, error) {
	info, err := s.Stat()
	if err != nil {
		return nil, errors.Join(err, s.Close())
	}
	r, err := NewReader(s, info.Size(), lim)
	if err != nil {
		return nil, errors.Join(err, broken, s.Close())
	}
	if broken != nil {
		r.damage = append(r.damage, broken)
	}
	r.closer = s
	return r, nil
}

// pack keeps an archive in frames of its own, with their table.
func (s *spool) pack(from io.Reader, allowed func(n int64) error) (broken, err error) {
	w := frameWriter{out: s}
	// It is read once or twice, and then thrown away.
	if w.enc, err = zstd.NewWriter(nil, zstd.WithEncoderLevel(zstd.SpeedFastest), zstd.WithEncoderConcurrency(1), zstd.WithWindowSize(writeWindow)); err != nil {
		return nil, fmt.Errorf("make zstd encoder: %w", err)
	}
	if broken, err = s.copy(framed{&w}, from, allowed); err != nil {
		return nil, err
	}
	return broken, w.finish()
}

// framed ends a frame each bulkFrame bytes, wherever in the archive that is.
type framed struct{ w *frameWriter }

func (f framed) Write(p []byte) (int, error) {
	n, err := f.w.Write(p)
	if err == nil && f.w.cur.raw >= bulkFrame {
		err = f.w.cut()
	}
	return n, err
}

// copy copies while it is allowed. What cannot be read any more is damage, and what came before is good;
// err is one of writing, or of a limit.
func (s *spool) copy(to io.Writer, from io.Reader, allowed func(n int64) error) (broken, err error) {
	buf := make([]byte, 256<<10)
	for n := int64(0); ; {
		got, rerr := from.Read(buf)
		n += int64(got)
		if err := allowed(n); err != nil {
			return nil, err
		}
		if _, err := to.Write(buf[:got]); err != nil {
			return nil, fmt.Errorf("keep the bundle in a temporary file: %w", err)
		}
		switch {
		case rerr == io.EOF:
			return nil, nil
		case errors.Is(rerr, io.ErrUnexpectedEOF):
			return fmt.Errorf("read bundle: its compression ends before its end: %w", ErrTruncated), nil
		case rerr != nil:
			return fmt.Errorf("read bundle: %w", rerr), nil
		}
	}
}
