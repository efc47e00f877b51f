//go:build linux

// Package procfs reads kernel text files again and again without opening them again
// and without allocating. What stands in them is package kerneltext's business.
package procfs

import (
	"errors"
	"io"
	"os"
	"path/filepath"
	"slices"

	"golang.org/x/sys/unix"
)

// File is a kernel text file that is kept open. Reading a seq_file at offset 0 makes
// the kernel print it anew (fs/seq_file.c, seq_read_iter).
type File struct {
	path string
	f    *os.File
	buf  []byte
}

// Open opens path below root ("/" on a live system, a fixture tree in tests).
func Open(root, path string) (*File, error) {
	p := &File{path: filepath.Join(root, path), buf: make([]byte, 0, 8<<10)}
	if err := p.open(); err != nil {
		return nil, err
	}
	return p, nil
}

// ErrMasked is what a text is that has a device in its place. Docker 28, Podman, CRI-O and Kubernetes since 2025 put /dev/null
// over /proc/interrupts (moby/moby#49560): read as a text it would be whole, and empty.
var ErrMasked = errors.New("a device is in its place: runtimes of containers hide it so from whoever is not privileged")

func (p *File) open() error {
	f, err := os.Open(p.path)
	if err != nil {
		return err
	}
	if info, err := f.Stat(); err == nil && info.Mode()&os.ModeCharDevice != 0 {
		f.Close()
		return &os.PathError{Op: "open", Path: p.path, Err: ErrMasked}
	}
	p.f = f
	return nil
}

// gone is what an open file answers whose entry was removed: EIO of /proc (fs/proc/inode.c,
// proc_reg_read_iter), ENOENT below /proc/sys (fs/proc/proc_sysctl.c, grab_header), ENODEV of
// sysfs, ESRCH of a process. The others need not be faults of a disk, since there is none.
var gone = []error{unix.EIO, unix.ENOENT, unix.ENODEV, unix.ESRCH}

// Read gives the file's text as it is now. The slice is valid until the next Read. An entry
// that was removed and made anew, as that of a bond or of a module that was loaded again, is
// opened again; while there is none the error is os.ErrNotExist.
func (p *File) Read() ([]byte, error) {
	text, err := p.read()
	if !slices.ContainsFunc(gone, func(g error) bool { return errors.Is(err, g) }) {
		return text, err
	}
	removed := p.f
	if err := p.open(); err != nil {
		p.f = removed // it answers the same at the next Read, which tries again
		return nil, err
	}
	removed.Close()
	return p.read()
}

func (p *File) read() ([]byte, error) {
	p.buf = p.buf[:0]
	for {
		if len(p.buf) == cap(p.buf) {
			p.buf = append(p.buf, 0)[:len(p.buf)]
		}
		n, err := p.f.ReadAt(p.buf[len(p.buf):cap(p.buf)], int64(len(p.buf)))
		p.buf = p.buf[:len(p.buf)+n]
		switch {
		case err == io.EOF:
			return p.buf, nil
		case err != nil:
			return nil, err // it names the operation and the path
		}
	}
}

// Name is the path that the file was opened by.
func (p *File) Name() string { return p.path }

// Close closes the file.
func (p *File) Close() error { return p.f.Close() }
