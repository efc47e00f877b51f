//go:build linux

// Package hang gives tests files and folders that hang in the kernel, as on a file server
// that is gone or behind a lock that a driver holds: a FUSE file system whose server does
// not answer. Calls on it hang in the kernel for real, until they are let go.
package hang

import (
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"testing"

	"golang.org/x/sys/unix"
)

// Requests of the kernel's FUSE protocol (include/uapi/linux/fuse.h) that are answered.
const (
	opGetattr = 3
	opOpen    = 14
	opRead    = 15
	opInit    = 26
	opPoll    = 40
	opForget  = 2
	opIntr    = 36

	inHeader    = 40      // struct fuse_in_header
	outHeader   = 16      // struct fuse_out_header
	directIO    = 1 << 0  // FOPEN_DIRECT_IO: every read is asked for
	requestSize = 1 << 17 // more than FUSE_MIN_READ_BUFFER
)

// Mount is a file or a folder that hangs while it is held.
type Mount struct {
	t       testing.TB
	fd      int
	path    string
	mode    uint32
	content string
	once    sync.Once     // of Unmount
	served  chan struct{} // closed: the server has ended

	mu    sync.Mutex
	held  bool
	wants [][]byte // requests that hang
}

// File puts a file with a content at path, which must not be there. It is not held.
func File(t testing.TB, path, content string) *Mount {
	t.Helper()
	must(t, os.MkdirAll(filepath.Dir(path), 0o755))
	must(t, os.WriteFile(path, nil, 0o644))
	return mount(t, path, unix.S_IFREG|0o444, content)
}

// Folder puts a folder at path in which nothing can be made or found, but which can be
// looked at while it is not held.
func Folder(t testing.TB, path string) *Mount {
	t.Helper()
	must(t, os.MkdirAll(path, 0o755))
	return mount(t, path, unix.S_IFDIR|0o755, "")
}

func mount(t testing.TB, path string, mode uint32, content string) *Mount {
	t.Helper()
	fd, err := unix.Open("/dev/fuse", unix.O_RDWR|unix.O_CLOEXEC, 0)
	if err == nil {
		options := fmt.Sprintf("fd=%d,rootmode=%o,user_id=0,group_id=0,allow_other", fd, mode)
		err = unix.Mount("hang", path, "fuse", unix.MS_NOSUID|unix.MS_NODEV, options)
	}
	if err != nil {
		if os.Getenv("CI") == "true" || !errors.Is(err, unix.EPERM) && !errors.Is(err, unix.EACCES) && !errors.Is(err, unix.ENOENT) {
			t.Fatalf("mount a file system that hangs: %v", err)
		}
		t.Skip("needs root: run make test as root")
	}
	m := &Mount{t: t, fd: fd, path: path, mode: mode, content: content}
	m.served = make(chan struct{})
	go func() {
		defer close(m.served)
		m.serve()
	}()
	t.Cleanup(m.Unmount)
	return m
}

// Unmount ends what hangs with an error; what lies below is there then. It may be called
// more than once.
func (m *Mount) Unmount() {
	m.once.Do(func() {
		unix.Unmount(m.path, unix.MNT_DETACH|unix.MNT_FORCE)
		// Without a server the kernel aborts every call, and those to come of whoever is on it still.
		unix.Close(m.fd)
		<-m.served
	})
}

// Hold has every call on it hang from now on.
func (m *Mount) Hold() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.held = true
}

// Release answers what hangs and what comes.
func (m *Mount) Release() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.held = false
	for _, request := range m.wants {
		m.answer(request)
	}
	m.wants = nil
}

// Hanging is how many calls hang.
func (m *Mount) Hanging() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return len(m.wants)
}

func (m *Mount) serve() {
	buf := make([]byte, requestSize)
	for {
		n, err := unix.Read(m.fd, buf)
		switch {
		case err == unix.EINTR, err == unix.ENOENT, err == unix.EAGAIN: // ENOENT: it was interrupted meanwhile
			continue
		case err != nil || n < inHeader:
			return // ENODEV: unmounted
		}
		request := append([]byte(nil), buf[:n]...)
		m.mu.Lock()
		switch op := binary.NativeEndian.Uint32(request[4:]); {
		case op == opForget, op == opIntr: // have no answer
		case m.held && op != opInit:
			m.wants = append(m.wants, request)
		default:
			m.answer(request)
		}
		m.mu.Unlock()
	}
}

// answer serves one request. What it is not made for is refused.
func (m *Mount) answer(request []byte) {
	native := binary.NativeEndian
	var body []byte
	var errno unix.Errno
	switch native.Uint32(request[4:]) {
	case opInit: // struct fuse_init_out: 7.31, and the smallest write
		body = make([]byte, 64)
		native.PutUint32(body, 7)
		native.PutUint32(body[4:], 31)
		native.PutUint32(body[20:], 4096)
	case opGetattr: // struct fuse_attr_out: not valid for any time, struct fuse_attr
		body = make([]byte, 104)
		attr := body[16:]
		native.PutUint64(attr, 1)
		native.PutUint64(attr[8:], uint64(len(m.content)))
		native.PutUint32(attr[60:], m.mode)
		native.PutUint32(attr[64:], 1)
	case opOpen: // struct fuse_open_out
		body = make([]byte, 16)
		native.PutUint32(body[8:], directIO)
	case opRead: // struct fuse_read_in
		offset, size := native.Uint64(request[inHeader+8:]), native.Uint32(request[inHeader+16:])
		if offset < uint64(len(m.content)) {
			body = []byte(m.content[offset:min(uint64(len(m.content)), offset+uint64(size))])
		}
	case opPoll:
		errno = unix.ENOSYS // always ready, as any regular file
	default:
		errno = unix.EIO
	}
	head := make([]byte, outHeader, outHeader+len(body))
	native.PutUint32(head, uint32(outHeader+len(body)))
	native.PutUint32(head[4:], uint32(-int32(errno)))
	copy(head[8:], request[8:16])                  // which request
	_, _ = unix.Write(m.fd, append(head, body...)) // ENOENT: nobody waits any more
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
