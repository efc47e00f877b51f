//go:build linux

package freeze

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/spikebox/spikebox/format"
	"github.com/spikebox/spikebox/format/member"
)

// faulty is the real disk with a fault in one of its folders.
type faulty struct {
	disk
	dir   string // only here
	err   error  // what the faulty operations give; nil: they take long, or for ever
	wait  func() // before each faulty operation
	op    string // the first that is faulty; "write": past from
	from  int64  // bytes of a file
	begun bool
	slow  bool
	hangs chan time.Time // something hangs
}

var operations = []string{"mkdir", "create", "write", "sync", "publish", "syncdir"}

// try is one operation.
func (f *faulty) try(dir, op string, offset int64) error {
	if dir != f.dir {
		return nil
	}
	if op == f.op && offset >= f.from {
		f.begun = true
	}
	// What has begun stays, but for a full disk or a bad block, which have been left.
	lasting := f.err == nil || errors.Is(f.err, unix.EROFS) || errors.Is(f.err, unix.ENOENT)
	if op == f.op && offset >= f.from || f.begun && lasting {
		if f.wait != nil {
			f.wait()
		}
		return f.err
	}
	return nil
}

func (f *faulty) MkdirAll(dir string) error {
	return errors.Join(f.try(dir, "mkdir", 0), f.disk.MkdirAll(dir))
}

func (f *faulty) Create(dir, name string) (format.File, error) {
	if err := f.try(dir, "create", 0); err != nil {
		return nil, err
	}
	file, err := f.disk.Create(dir, name)
	return &faultyFile{file, f, dir, 0}, err
}

func (f *faulty) Publish(file format.File, final string) error {
	inner := file.(*faultyFile)
	if err := f.try(inner.dir, "publish", 0); err != nil {
		return err
	}
	return f.disk.Publish(inner.File, final)
}

func (f *faulty) Discard(file format.File) error { return f.disk.Discard(file.(*faultyFile).File) }

func (f *faulty) SyncDir(dir string) error {
	if err := f.try(dir, "syncdir", 0); err != nil {
		return err
	}
	return f.disk.SyncDir(dir)
}

type faultyFile struct {
	format.File
	f   *faulty
	dir string
	n   int64
}

func (f *faultyFile) Write(b []byte) (int, error) {
	if err := f.f.try(f.dir, "write", f.n+int64(len(b))); err != nil {
		return 0, err
	}
	n, err := f.File.Write(b)
	f.n += int64(n)
	return n, err
}

func (f *faultyFile) Sync() error { return errors.Join(f.f.try(f.dir, "sync", 0), f.File.Sync()) }

// shelf is the two folders of a test, with three old bundles in the first, two of them
// more than are kept.
type shelf struct {
	t              *testing.T
	main, fallback string
	old            []string
}

func newShelf(t *testing.T) *shelf {
	s := &shelf{t: t, main: t.TempDir(), fallback: t.TempDir()}
	for i := range 3 {
		path := filepath.Join(s.main, fmt.Sprintf("web-2025010%dT000000Z-syn_recv%s", i+1, format.Ext))
		must(t, os.WriteFile(path, []byte("old"), 0o600))
		s.old = append(s.old, path)
	}
	return s
}

// check looks at what a Store has left: every old bundle that had to stay, no other file
// but the new bundle, which is whole and has what the smallest has.
func (s *shelf) check(r Report, syncs, partials bool) {
	s.t.Helper()
	durable := r.Path != "" && !r.Fallback && syncs
	for i, path := range s.old {
		if _, err := os.Stat(path); durable == (err == nil) && i < 2 || i == 2 && err != nil && !durable {
			s.t.Errorf("of the old bundle %d: %v, after a bundle that is durable here: %v", i, err, durable)
		}
	}
	for _, dir := range []string{s.main, s.fallback} {
		entries, _ := os.ReadDir(dir)
		for _, e := range entries {
			path := filepath.Join(dir, e.Name())
			hidden := strings.HasPrefix(e.Name(), ".")
			if path != r.Path && !slices.Contains(s.old, path) && !(hidden && partials) {
				s.t.Errorf("%s was left", path)
			}
		}
	}
	if r.Path == "" {
		return
	}
	b, err := format.Open(r.Path, format.Limits{})
	must(s.t, err)
	defer b.Close()
	for _, err := range format.Check(b) {
		s.t.Errorf("%s: %v", r.Path, err)
	}
	for _, name := range []string{member.VitalsName, member.KmsgName, member.EventsName, member.SocketsName} {
		if len(text(s.t, b, name)) < 1000 {
			s.t.Errorf("there is next to nothing of %s", name)
		}
	}
	for _, src := range b.Manifest.Sources {
		if src.Name == "packets" && (src.State == format.Complete) != (r.LeftOut == "") {
			s.t.Errorf("packets are %v, and left out is %q", src, r.LeftOut)
		}
	}
	if (r.LeftOut == "") != (len(b.Manifest.Warnings) == 0) {
		s.t.Errorf("warnings %q, and left out is %q", b.Manifest.Warnings, r.LeftOut)
	}
}

// Every fault at every place: none loses an old bundle, the new one is written where either
// folder takes 1 MiB, and nothing half has a final name.
func TestFaults(t *testing.T) {
	whole := newShelf(t)
	report, err := newStore(whole, nil).put(t.Context(), recorded(100, 60_000))
	must(t, err)
	whole.check(report, true, false)
	for _, f := range []struct {
		name string
		err  error
		slow time.Duration
	}{
		{"no space", unix.ENOSPC, 0}, {"quota", unix.EDQUOT, 0}, {"i/o error", unix.EIO, 0}, {"read-only", unix.EROFS, 0},
		{"missing", unix.ENOENT, 0}, {"slow", nil, time.Millisecond}, {"frozen", nil, 0},
	} {
		t.Run(f.name, func(t *testing.T) {
			t.Parallel()
			for _, op := range operations {
				for from := int64(0); from <= report.Bytes; from += report.Bytes/8 + 1 {
					if op != "write" && from > 0 {
						break
					}
					t.Run(fmt.Sprintf("%s %d", op, from), func(t *testing.T) {
						t.Parallel()
						fail := &faulty{disk: system{format.OS}, err: f.err, op: op, from: from, slow: f.slow > 0}
						if f.err == nil {
							fail.wait = func() { time.Sleep(f.slow) }
						}
						if f.name == "frozen" {
							thawed := make(chan struct{})
							fail.hangs = make(chan time.Time, 1)
							fail.wait = func() {
								fail.hangs <- time.Time{}
								<-thawed
							}
							t.Cleanup(func() { close(thawed) })
						}
						tryFault(t, fail, f.name == "frozen")
					})
				}
			}
		})
	}
}

// newStore has a patience that ends when something hangs, and not sooner on a busy machine.
func newStore(s *shelf, d *faulty) *Store {
	store := NewStore("web", Retention{Keep: 2}, s.main, s.fallback)
	if d != nil {
		store.disk = newPatient(d)
		store.disk.after = func(time.Duration) <-chan time.Time { return d.hangs }
	}
	return store
}

// smallEnough is more than the smallest bundle of what TestFaults has recorded, and less
// than all of it.
const smallEnough = 24 << 10

// tryFault writes a bundle with a fallback folder and without.
func tryFault(t *testing.T, fail *faulty, frozen bool) {
	for _, fallback := range []bool{true, false} {
		s := newShelf(t)
		again := *fail
		again.dir = s.main
		store := newStore(s, &again)
		if !fallback {
			store.dirs = store.dirs[:1]
		}
		report, err := store.put(t.Context(), recorded(100, 60_000))
		if err != nil && (fallback || fail.err == nil && !frozen) {
			t.Errorf("with a fallback folder %v: %v", fallback, err)
		}
		s.check(report, fail.op != "syncdir" || fail.slow, frozen)
		if again.err != nil && fail.op == "write" && errors.Is(again.err, unix.ENOSPC) && fail.from > smallEnough && (report.Fallback || report.LeftOut == "") {
			t.Errorf("%d bytes fit into the folder, and the bundle is %+v", fail.from, report)
		}
		if frozen || report.Path == "" || !report.Fallback {
			continue
		}
		// The next one is tried where the first was to go.
		again.op = ""
		again.begun = false
		next, err := store.put(t.Context(), recorded(100, 60_000))
		if err != nil || next.Fallback || next.LeftOut != "" {
			t.Errorf("after the fault the next bundle is %+v (%v)", next, err)
		}
	}
}
