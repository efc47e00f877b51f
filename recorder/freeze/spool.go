//go:build linux

package freeze

import (
	"fmt"
	"io"
	"os"

	"github.com/klauspost/compress/zstd"
	"golang.org/x/sys/unix"

	"github.com/spikebox/spikebox/format"
	"github.com/spikebox/spikebox/format/member"
)

// spool holds the packets of a cut on disk, compressed and without a name, so that the
// rings have their blocks back within a moment: the one-off sources may take seconds, and
// until a cut is closed the kernel has only the rings' reserve to record into.
type spool struct {
	file *os.File
	size int64 // of the content
}

// spooled writes size bytes that write gives to a file in dir that nobody else sees and
// that is gone with the process.
func spooled(dir string, size int64, write func(io.Writer) error) (*spool, error) {
	file, err := unnamed(dir)
	if err != nil {
		return nil, fmt.Errorf("spool packets: %w", err)
	}
	s := &spool{file: file, size: size}
	enc, err := zstd.NewWriter(file, zstd.WithEncoderConcurrency(1), zstd.WithEncoderLevel(zstd.SpeedFastest))
	if err == nil {
		if err = write(enc); err == nil {
			err = enc.Close()
		}
	}
	if err != nil {
		s.close()
		return nil, fmt.Errorf("spool packets: %w", err)
	}
	return s, nil
}

// unnamed opens a file without a name; where the file system has no O_TMPFILE, one whose
// name is gone at once.
func unnamed(dir string) (*os.File, error) {
	fd, err := unix.Open(dir, unix.O_TMPFILE|unix.O_RDWR|unix.O_CLOEXEC, 0o600)
	if err == nil {
		return os.NewFile(uintptr(fd), dir), nil
	}
	file, err := os.CreateTemp(dir, ".spool-*")
	if err != nil {
		return nil, err
	}
	return file, os.Remove(file.Name())
}

// writeTo gives the content back.
func (s *spool) writeTo(w io.Writer) error {
	if _, err := s.file.Seek(0, io.SeekStart); err != nil {
		return fmt.Errorf("read spooled packets: %w", err)
	}
	dec, err := zstd.NewReader(s.file, zstd.WithDecoderConcurrency(1))
	if err != nil {
		return fmt.Errorf("read spooled packets: %w", err)
	}
	defer dec.Close()
	if _, err := io.Copy(w, dec); err != nil {
		return fmt.Errorf("read spooled packets: %w", err)
	}
	return nil
}

// add makes the content a member; without packets there is none.
func (s *spool) add(w *format.Writer) error {
	if s == nil {
		return nil
	}
	return w.AddSized(member.PacketsName, s.size, s.writeTo)
}

func (s *spool) close() {
	if s != nil {
		s.file.Close()
	}
}
