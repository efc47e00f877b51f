//go:build linux

package freeze

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"github.com/spikebox/spikebox/format"
)

// disk is what a Store needs of file systems. Tests have some that fail, hang or are full.
type disk interface {
	format.Disk
	MkdirAll(dir string) error
	Space(dir string) (space, error)
	List(dir, host string) ([]stored, error)
	Remove(path string) error
	Unnamed(dir string) (spoolFile, error)
}

// space is a file system's, in bytes.
type space struct {
	size, free int64 // free is what an unprivileged user could fill
}

// unbounded is more than any disk has, and still something can be added to it.
const unbounded = int64(1) << 60

// system is the disk that there is.
type system struct{ format.Disk }

func (system) MkdirAll(dir string) error { return os.MkdirAll(dir, 0o700) }

func (system) Remove(path string) error { return os.Remove(path) }

func (system) List(dir, host string) ([]stored, error) { return list(dir, host) }

func (system) Unnamed(dir string) (spoolFile, error) {
	f, err := unnamed(dir)
	if err != nil {
		return nil, noInode(dir, err)
	}
	return nameless{f}, nil
}

func (s system) Create(dir, name string) (format.File, error) {
	f, err := s.Disk.Create(dir, name)
	return f, noInode(dir, err)
}

// noInode says which of two things a full file system lacks: "no space left on device" is said
// for want of inodes, too, where df(1) shows room.
func noInode(dir string, err error) error {
	var fs unix.Statfs_t
	if errors.Is(err, unix.ENOSPC) && unix.Statfs(dir, &fs) == nil && fs.Files > 0 && fs.Ffree == 0 {
		return fmt.Errorf("%w: its file system has no inode left (df -i)", err)
	}
	return err
}

func (system) Space(dir string) (space, error) {
	var fs unix.Statfs_t
	if err := unix.Statfs(dir, &fs); err != nil {
		return space{}, &os.PathError{Op: "statfs", Path: dir, Err: err}
	}
	if fs.Blocks == 0 { // without a size, such as a tmpfs that was mounted with size=0
		return space{free: unbounded}, nil
	}
	return space{size: int64(fs.Blocks) * fs.Frsize, free: int64(fs.Bavail) * fs.Frsize}, nil
}

const (
	// opLimit is how long one operation of a file system may take: an NFS server that is gone,
	// a frozen file system or a dying disk keeps it for ever, and a bundle may go elsewhere.
	// Twice 30 s, for two folders, is within the 90 s that systemd waits for the end of a service.
	opLimit = 30 * time.Second
	// syncEvery bounds what one fsync has to write: 16 MiB in 30 s are 0.5 MB/s, and a disk that
	// is slower than that is as good as frozen.
	syncEvery = 16 << 20
)

// errStalled is what an operation gives that took longer than its limit.
var errStalled = errors.New("the file system does not answer")

// patient is a disk whose operations come back after a limit at the latest. One that does
// not goes on in its own goroutine, which nobody can end; until it has ended every other
// operation in the same folder fails at once, so that a disk that hangs keeps one goroutine
// for each folder, however many bundles are cut.
type patient struct {
	disk
	limit   time.Duration
	after   func(time.Duration) <-chan time.Time // time.After, or a test's
	mu      sync.Mutex
	hanging map[string]<-chan struct{} // by folder
}

func newPatient(d disk) *patient {
	return &patient{disk: d, limit: opLimit, after: time.After, hanging: map[string]<-chan struct{}{}}
}

// stuck says whether an operation in a folder has not come back.
func (p *patient) stuck(dir string) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	select {
	case <-p.hanging[dir]: // never of a folder where nothing hangs: its channel is nil
		delete(p.hanging, dir)
	default:
	}
	return p.hanging[dir] != nil
}

// within does f under the limit. What f writes to must be its own.
func within[T any](p *patient, dir string, f func() (T, error)) (v T, err error) {
	if p.stuck(dir) {
		return v, fmt.Errorf("%s: %w, still", dir, errStalled)
	}
	type result struct {
		v   T
		err error
	}
	// Both have room for the goroutine that is left alone: it ends whenever the disk lets it.
	results, ended := make(chan result, 1), make(chan struct{})
	go func() {
		defer close(ended)
		v, err := f()
		results <- result{v, err}
	}()
	select {
	case r := <-results:
		return r.v, r.err
	case <-p.after(p.limit):
	}
	p.mu.Lock()
	p.hanging[dir] = ended
	p.mu.Unlock()
	return v, fmt.Errorf("%s: %w within %v", dir, errStalled, p.limit)
}

// done is within for what gives nothing but an error.
func (p *patient) done(dir string, f func() error) error {
	_, err := within(p, dir, func() (struct{}, error) { return struct{}{}, f() })
	return err
}

func (p *patient) MkdirAll(dir string) error {
	return p.done(dir, func() error { return p.disk.MkdirAll(dir) })
}

func (p *patient) Space(dir string) (space, error) {
	return within(p, dir, func() (space, error) { return p.disk.Space(dir) })
}

func (p *patient) List(dir, host string) ([]stored, error) {
	return within(p, dir, func() ([]stored, error) { return p.disk.List(dir, host) })
}

func (p *patient) Remove(path string) error {
	return p.done(filepath.Dir(path), func() error { return p.disk.Remove(path) })
}

func (p *patient) SyncDir(dir string) error {
	return p.done(dir, func() error { return p.disk.SyncDir(dir) })
}

func (p *patient) Create(dir, name string) (format.File, error) {
	f, err := within(p, dir, func() (format.File, error) { return p.disk.Create(dir, name) })
	if err != nil {
		return nil, err
	}
	return &patientFile{File: f, p: p, dir: dir}, nil
}

func (p *patient) Publish(f format.File, final string) error {
	inner := f.(*patientFile)
	return p.done(inner.dir, func() error { return p.disk.Publish(inner.File, final) })
}

func (p *patient) Discard(f format.File) error {
	inner := f.(*patientFile)
	return p.done(inner.dir, func() error { return p.disk.Discard(inner.File) })
}

func (p *patient) Unnamed(dir string) (spoolFile, error) {
	f, err := within(p, dir, func() (spoolFile, error) { return p.disk.Unnamed(dir) })
	if err != nil {
		return nil, err
	}
	return &patientSpool{spoolFile: f, p: p, dir: dir}, nil
}

// patientFile is a bundle's file on a patient disk.
type patientFile struct {
	format.File
	p     *patient
	dir   string
	dirty int // bytes that were not synced
}

func (f *patientFile) Write(b []byte) (int, error) {
	own := append([]byte(nil), b...) // a write that hangs goes on reading when its buffer has another use
	n, err := within(f.p, f.dir, func() (int, error) { return f.File.Write(own) })
	if f.dirty += n; err == nil && f.dirty >= syncEvery {
		err = f.Sync()
	}
	return n, err
}

func (f *patientFile) Sync() error {
	f.dirty = 0
	return f.p.done(f.dir, f.File.Sync)
}

// patientSpool is a file for packets on a patient disk.
type patientSpool struct {
	spoolFile
	p   *patient
	dir string
}

func (f *patientSpool) Write(b []byte) (int, error) {
	own := append([]byte(nil), b...)
	return within(f.p, f.dir, func() (int, error) { return f.spoolFile.Write(own) })
}

func (f *patientSpool) ReadAt(b []byte, off int64) (int, error) {
	own := make([]byte, len(b))
	n, err := within(f.p, f.dir, func() (int, error) { return f.spoolFile.ReadAt(own, off) })
	return copy(b, own[:n]), err
}

func (f *patientSpool) Punch(off, n int64) error {
	return f.p.done(f.dir, func() error { return f.spoolFile.Punch(off, n) })
}

func (f *patientSpool) Close() error { return f.p.done(f.dir, f.spoolFile.Close) }

// bounded is a disk on which one bundle may take so much: past it, its file fails as on a
// full disk.
type bounded struct {
	format.Disk
	most  int64
	taken int64
}

func (b *bounded) Create(dir, name string) (format.File, error) {
	f, err := b.Disk.Create(dir, name)
	if err != nil {
		return nil, err
	}
	return &boundedFile{f, b}, nil
}

func (b *bounded) Publish(f format.File, final string) error {
	return b.Disk.Publish(f.(*boundedFile).File, final)
}

func (b *bounded) Discard(f format.File) error { return b.Disk.Discard(f.(*boundedFile).File) }

type boundedFile struct {
	format.File
	b *bounded
}

func (f *boundedFile) Write(p []byte) (int, error) {
	if f.b.taken+int64(len(p)) > f.b.most {
		return 0, errBound
	}
	n, err := f.File.Write(p)
	f.b.taken += int64(n)
	return n, err
}

// errBound is what a bundle gives that would take more than it may.
var errBound = errors.New("that is more than what is free, --min-free and --keep-bytes leave for it")
