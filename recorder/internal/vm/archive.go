//go:build linux

package vm

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"path"
	"strings"

	"golang.org/x/sys/unix"
)

// archive writes a cpio archive in the kernel's newc format
// (Documentation/driver-api/early-userspace/buffer-format.rst). The first error stays.
type archive struct {
	w     *bufio.Writer
	n     int // bytes written
	inode int
	made  map[string]bool // folders
	err   error
}

func newArchive(w io.Writer) *archive {
	return &archive{w: bufio.NewWriterSize(w, 1<<20), made: map[string]bool{"": true, ".": true}}
}

// dir makes a folder and those above it.
func (a *archive) dir(name string) {
	name = strings.Trim(name, "/")
	if a.made[name] {
		return
	}
	a.dir(path.Dir(name))
	a.made[name] = true
	a.entry(name, unix.S_IFDIR|0o755, 0, 0, nil)
}

// file makes a file and the folders above it.
func (a *archive) file(name string, mode uint32, content []byte) {
	name = strings.Trim(name, "/")
	a.dir(path.Dir(name))
	a.entry(name, unix.S_IFREG|mode, 0, 0, content)
}

// copy puts this machine's file from into the archive, executable.
func (a *archive) copy(name, from string) {
	content, err := os.ReadFile(from)
	if err != nil && a.err == nil {
		a.err = err
	}
	a.file(name, 0o755, content)
}

// console makes the device that the first process's output goes to.
func (a *archive) console(name string) {
	a.entry(name, unix.S_IFCHR|0o600, 5, 1, nil)
}

// entry writes a header of 13 hexadecimal fields, the name and the content.
func (a *archive) entry(name string, mode, major, minor uint32, content []byte) {
	a.inode++
	a.write(fmt.Appendf(nil, "070701%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x",
		a.inode, mode, 0, 0, 1, 0, len(content), 0, 0, major, minor, len(name)+1, 0))
	a.write(append([]byte(name), 0))
	a.align()
	a.write(content)
	a.align()
}

func (a *archive) align() { a.write(make([]byte, -a.n&3)) }

func (a *archive) write(b []byte) {
	if a.err != nil {
		return
	}
	n, err := a.w.Write(b)
	a.n += n
	a.err = err
}

// close ends the archive, and returns the first error of all.
func (a *archive) close() error {
	a.entry("TRAILER!!!", 0, 0, 0, nil)
	if a.err != nil {
		return a.err
	}
	return a.w.Flush()
}
