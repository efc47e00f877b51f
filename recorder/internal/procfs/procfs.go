//go:build linux

// Package procfs reads kernel text files again and again without opening them again
// and without allocating. What stands in them is package kerneltext's business.
package procfs

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
)

// File is a kernel text file that is kept open. Reading a seq_file at offset 0 makes
// the kernel print it anew (fs/seq_file.c, seq_read_iter).
type File struct {
	f   *os.File
	buf []byte
}

// Open opens path below root ("/" on a live system, a fixture tree in tests).
func Open(root, path string) (*File, error) {
	f, err := os.Open(filepath.Join(root, path))
	if err != nil {
		return nil, err
	}
	return &File{f: f, buf: make([]byte, 0, 8<<10)}, nil
}

// Read gives the file's text as it is now. The slice is valid until the next Read.
func (p *File) Read() ([]byte, error) {
	p.buf = p.buf[:0]
	for {
		if len(p.buf) == cap(p.buf) {
			p.buf = append(p.buf, 0)[:len(p.buf)]
		}
		n, err := p.f.ReadAt(p.buf[len(p.buf):cap(p.buf)], int64(len(p.buf)))
		p.buf = p.buf[:len(p.buf)+n]
		if n == 0 {
			if err != nil && err != io.EOF {
				return nil, fmt.Errorf("read %s: %w", p.f.Name(), err)
			}
			return p.buf, nil
		}
	}
}

// Name is the path that the file was opened by.
func (p *File) Name() string { return p.f.Name() }

// Close closes the file.
func (p *File) Close() error { return p.f.Close() }
