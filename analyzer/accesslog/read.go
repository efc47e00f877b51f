package accesslog

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/klauspost/compress/zstd"
)

const (
	// longestLine is what of a line is read: nginx writes lines of up to a request's largest buffers, 32 KiB.
	longestLine = 64 << 10
	// sampled is how much of a log tells its format, in bytes.
	sampled = 256 << 10
)

// Options says how a log is to be read. The zero value is good.
type Options struct {
	Format *Format        // nil: found out
	Zone   *time.Location // of times without one; nil: UTC
}

// Log is an opened one.
type Log struct {
	Path   string
	Format *Format
	Fine   time.Duration // by how much its times are rounded down, as far as its begin shows

	Zone *time.Location // of times that tell none

	lines    *bufio.Reader
	unpacked *unpacked // nil where the file is not compressed
	closers  []func() error
	// What Each has counted.
	Lines, Skipped uint64
	First, Last    int64 // Unix ns of the earliest and the latest request; 0 without any
}

// Open opens a log, also a compressed one (gzip, zstd), and finds out its format. An error says what is missing:
// a log without a time or a duration in it is none that can be used.
func Open(path string, opts Options) (*Log, error) {
	f, err := os.Stdin, error(nil)
	if path != "-" {
		f, err = os.Open(path)
	}
	if err != nil {
		return nil, fmt.Errorf("open log: %w", err)
	}
	l := &Log{Path: path, Format: opts.Format, Zone: opts.Zone, closers: []func() error{f.Close}}
	if l.Zone == nil {
		l.Zone = time.UTC
	}
	if err := l.begin(f); err != nil {
		l.Close()
		return nil, fmt.Errorf("read log %s: %w", filepath.Base(path), err)
	}
	return l, nil
}

// begin looks at the log's begin.
func (l *Log) begin(f *os.File) error {
	raw := bufio.NewReaderSize(f, longestLine)
	magic, err := raw.Peek(4)
	if err != nil && !errors.Is(err, io.EOF) {
		return err
	}
	most := int64(mostUnpacked)
	if info, err := f.Stat(); err == nil {
		most = max(most, unpackedRatio*info.Size())
	}
	content := io.Reader(raw)
	switch {
	case bytes.HasPrefix(magic, []byte{0x1f, 0x8b}):
		z, err := gzip.NewReader(raw)
		if err != nil {
			return err
		}
		l.unpacked = &unpacked{z, most}
	case bytes.HasPrefix(magic, []byte{0x28, 0xb5, 0x2f, 0xfd}):
		z, err := zstd.NewReader(raw, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxWindow(64<<20))
		if err != nil {
			return err
		}
		l.closers = append(l.closers, func() error { z.Close(); return nil })
		l.unpacked = &unpacked{z, most}
	}
	if l.unpacked != nil {
		content = l.unpacked
	}
	l.lines = bufio.NewReaderSize(content, sampled)
	sample, err := l.lines.Peek(sampled)
	if err != nil && !errors.Is(err, io.EOF) && len(sample) == 0 {
		return err
	}
	return l.look(sample, err == nil)
}

const (
	// mostUnpacked and unpackedRatio bound what is read of a compressed log, as of a compressed capture: a gigabyte of
	// lines takes half a minute, and logs are some 20 times shorter when they are compressed.
	mostUnpacked  = 1 << 30
	unpackedRatio = 30
)

var errUnpacked = fmt.Errorf("it unpacks to more than %d GiB and %d times its size: decompress it first", mostUnpacked>>30, unpackedRatio)

// unpacked reads what was compressed as far as it may.
type unpacked struct {
	r    io.Reader
	left int64
}

// Read reads on.
func (u *unpacked) Read(p []byte) (int, error) {
	if u.left <= 0 {
		return 0, errUnpacked
	}
	n, err := u.r.Read(p[:min(int64(len(p)), u.left)])
	u.left -= int64(n)
	return n, err
}

// look finds the format by a sample, whose last line may be cut.
func (l *Log) look(sample []byte, cut bool) error {
	lines := bytes.Split(sample, []byte{'\n'})
	if cut && len(lines) > 1 {
		lines = lines[:len(lines)-1]
	}
	lines = slices.DeleteFunc(lines, func(line []byte) bool { return len(bytes.TrimSpace(line)) == 0 })
	if len(lines) == 0 {
		return errors.New("it is empty")
	}
	var err error
	if l.Format == nil {
		if l.Format, err = guess(lines, l.Zone); err != nil {
			return err
		}
	}
	var all fields
	all.local = l.Zone
	for _, line := range lines {
		if r, ok := l.Format.read(line, &all); ok {
			l.Fine = max(l.Fine, r.Fine)
		}
	}
	if l.Fine == 0 {
		return fmt.Errorf("none of its first %d lines is of that format; the first is %q", len(lines), short(lines[0]))
	}
	return nil
}

// short is a line's begin, for a message.
func short(line []byte) []byte { return line[:min(len(line), 120)] }

// read reads a line.
func (f *Format) read(line []byte, into *fields) (*Request, bool) {
	into.reset()
	if !f.parse(bytes.TrimRight(line, "\r\n"), into) {
		return nil, false
	}
	return into.finish()
}

// Each reads the log to its end, once. An error means that the rest could not be read: what was is told of.
func (l *Log) Each(take func(*Request)) error {
	all := fields{local: l.Zone}
	for {
		line, err := l.lines.ReadSlice('\n')
		if len(line) > 0 {
			l.Lines++
		}
		long := errors.Is(err, bufio.ErrBufferFull) || len(line) > longestLine
		for errors.Is(err, bufio.ErrBufferFull) {
			_, err = l.lines.ReadSlice('\n')
		}
		if len(bytes.TrimSpace(line)) == 0 {
			// nothing is said
		} else if r, ok := l.Format.read(line[:min(len(line), longestLine)], &all); ok && !long {
			r.Line = l.Lines
			if l.First == 0 || r.End < l.First {
				l.First = r.End
			}
			l.Last = max(l.Last, r.End)
			take(r)
		} else {
			l.Skipped++
		}
		switch {
		case errors.Is(err, io.EOF):
			return nil
		case err != nil:
			return fmt.Errorf("read log %s after line %d: %w", filepath.Base(l.Path), l.Lines, err)
		}
	}
}

// Close closes the file.
func (l *Log) Close() {
	for _, c := range l.closers {
		_ = c() // it was only read
	}
}
