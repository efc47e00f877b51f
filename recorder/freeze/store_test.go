//go:build linux

package freeze

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/spikebox/spikebox/format"
	"github.com/spikebox/spikebox/format/member"
	"github.com/spikebox/spikebox/recorder/source"
)

// trigger is when the contents of these tests fired.
var triggered = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)

// noise is n bytes that nothing makes smaller.
func noise(n int) []byte {
	b := make([]byte, n)
	rng := rand.NewChaCha8([32]byte{7})
	rng.Read(b)
	return b
}

// lines is n lines that begin with times, a millisecond apart, around the trigger.
func lines(n int, form string) []byte {
	var text []byte
	rng := rand.New(rand.NewPCG(1, 2))
	for i := range n {
		at := triggered.Add(time.Duration(i-n*3/4) * time.Millisecond)
		text = fmt.Appendf(text, form+"\n", at.UnixNano(), rng.Uint64(), rng.Uint32(), rng.Uint64())
	}
	return text
}

// recorded is a content with n lines of everything and packets of so many bytes.
func recorded(n, packets int) *content {
	c := &content{name: name("web", format.Trigger{Vital: "syn_recv", Time: triggered}), at: triggered, packets: &spool{packets: 30, nearPackets: 10}}
	c.packets.head.WriteString("head ")
	c.packets.foot.WriteString("foot")
	c.packets.nearFoot.WriteString("near foot")
	for _, p := range []*pile{&c.packets.before, &c.packets.near, &c.packets.after} {
		*p = pile{most: nearMemory, open: func() (spoolFile, error) { return nil, unix.ENOSPC }}
		p.Write(noise(packets / 3))
		p.end()
	}
	var plain, told, results source.Sink
	plain.Add(member.VitalsName, append([]byte("time,syn_recv,resets\n"), lines(n, "%d,%d,%d,%d")...))
	plain.Add(member.ListenersName, append([]byte(member.ListenersHeader), lines(n, "%d,192.0.2.1,%d,%d,%d")...))
	plain.Add(member.KmsgName, lines(n, "%d 4 %x %x %x"))
	told.Add(member.EventsName, lines(n, `{"time":%d,"kind":"drop","cpu":1,"place":"%x","seq":%d,"remote":"%x"}`))
	told.Add(member.DropsName, []byte(member.DropsHeader))
	sockets, _ := results.Stream(member.SocketsName)
	sockets.Write(lines(n, `{"at":"trigger","time":%d,"state":"SYN_RECV","remote":"%x","remote_port":%d,"cookie":"%x"}`))
	sockets.Close()
	results.Add(member.StaticFolder+"netfilter.json", []byte("{}"))
	c.plain, c.told, c.results = plain.Members, []source.Result{{Sink: &told}}, []source.Result{{Sink: &results}}
	c.snapshots = func(f func(at time.Time, name string, text []byte) error) error {
		for i := range 30 {
			at := triggered.Add(time.Duration(i-20) * time.Second)
			if err := f(at, member.SnapshotName(at, "proc/net/netstat"), noise(200)); err != nil {
				return err
			}
		}
		return nil
	}
	c.textBytes = 30 * 200
	c.manifest = format.Manifest{Host: format.Host{Name: "web"}}
	for name, members := range map[string][]string{"packets": {member.PacketsName}, "snapshots": {member.SnapshotFolder},
		"sockets": {member.SocketsName}, "netfilter": {"static/netfilter.json"}, "events": {member.EventsName, member.DropsName}} {
		c.manifest.Sources = append(c.manifest.Sources, format.Source{Name: name, State: format.Complete, Members: members})
	}
	return c
}

// faulty is the real disk with a fault in one of its folders.
type faulty struct {
	disk
	dir   string // only here
	err   error  // what the faulty operations give; nil: they take long, or for ever
	wait  func() // before each faulty operation
	op    string // the first that is faulty; "write": past from
	from  int64  // bytes of a file
	begun bool
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
func (s *shelf) check(r Report, partials bool) {
	s.t.Helper()
	durable := r.Path != "" && !r.Fallback && len(r.Troubles) == 0
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
	whole.check(report, false)
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
				for from := int64(0); from <= report.Bytes; from += report.Bytes/12 + 1 {
					if op != "write" && from > 0 {
						break
					}
					t.Run(fmt.Sprintf("%s %d", op, from), func(t *testing.T) {
						t.Parallel()
						fail := &faulty{disk: system{format.OS}, err: f.err, op: op, from: from}
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
		s.check(report, frozen)
		if again.err != nil && fail.op == "write" && errors.Is(again.err, unix.ENOSPC) && fail.from > 40_000 && (report.Fallback || report.LeftOut == "") {
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

// The smallest bundle stays below 1 MiB whatever the host has, and keeps what is nearest
// to the trigger.
func TestSmallest(t *testing.T) {
	c := recorded(60_000, 3<<20)
	dir := t.TempDir()
	store := NewStore("web", Retention{Bytes: 1 << 20}, dir)
	r, err := store.put(t.Context(), c)
	must(t, err)
	if r.Bytes > 1<<20 || !strings.HasPrefix(r.LeftOut, smallest.String()) {
		t.Errorf("%d bytes, %s", r.Bytes, r.LeftOut)
	}
	t.Logf("the smallest bundle of the worst content has %d bytes", r.Bytes)
	b, err := format.Open(r.Path, format.Limits{})
	must(t, err)
	defer b.Close()
	for _, name := range []string{member.VitalsName, member.ListenersName, member.KmsgName, member.EventsName} {
		got := strings.Split(strings.TrimSuffix(text(t, b, name), "\n"), "\n")
		if strings.HasPrefix(got[0], "time,") {
			got = got[1:]
		}
		first, last := lineTime([]byte(got[0])), lineTime([]byte(got[len(got)-1]))
		if at := triggered.UnixNano(); first >= at || last <= at || last-first != int64(len(got)-1)*1e6 {
			t.Errorf("%s has %d lines from %d ms to %d ms of the trigger, want a row without gaps", name, len(got), (first-at)/1e6, (last-at)/1e6)
		}
	}
}

// A pile that finds no room loses itself only.
func TestPiles(t *testing.T) {
	file, err := os.CreateTemp(t.TempDir(), "")
	must(t, err)
	for _, c := range []struct {
		name string
		open func() (spoolFile, error)
		bad  bool
	}{
		{"in memory and a file", func() (spoolFile, error) { return nameless{file}, nil }, false},
		{"no file", func() (spoolFile, error) { return nil, unix.ENOSPC }, true},
	} {
		p := &pile{most: 100_000, open: c.open}
		data := noise(500_000)
		for rest := data; len(rest) > 0; rest = rest[10_000:] {
			if n, err := p.Write(rest[:10_000]); n != 10_000 || err != nil {
				t.Fatal(n, err)
			}
		}
		p.end()
		var got bytes.Buffer
		if c.bad {
			if !errors.Is(p.err, unix.ENOSPC) {
				t.Errorf("%s: %v", c.name, p.err)
			}
			continue
		}
		for range 2 { // it can be read again
			got.Reset()
			if err := p.writeTo(&got, false); err != nil || !bytes.Equal(got.Bytes(), data) || p.content != 500_000 {
				t.Errorf("%s: %d bytes of %d (%v)", c.name, got.Len(), p.content, err)
			}
		}
	}
}

// onTmpfs runs f with a folder on a real file system of its own, of some KiB.
func onTmpfs(t *testing.T, kib int, f func(dir string)) {
	t.Helper()
	dir := t.TempDir()
	done := make(chan error)
	go func() {
		defer close(done)
		runtime.LockOSThread() // and never unlock: the mount goes with the thread
		err := unix.Unshare(unix.CLONE_NEWNS)
		if err == nil {
			err = unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, "")
		}
		if err == nil {
			err = unix.Mount("tmpfs", dir, "tmpfs", 0, fmt.Sprintf("size=%dk", kib))
		}
		if err == nil {
			// Named by way of this thread: a patient disk works in others.
			f(fmt.Sprintf("/proc/self/task/%d/root%s", unix.Gettid(), dir))
		}
		done <- err
	}()
	if err := <-done; errors.Is(err, unix.EPERM) && os.Getenv("CI") != "true" {
		t.Skip("needs root: run make test as root")
	} else if err != nil {
		t.Fatal(err)
	}
}

// On a real disk of any size there is as much of a bundle as it has room for, and the more
// room the more of it.
func TestRealDisk(t *testing.T) {
	last := smallest + 1
	for _, kib := range []int{24, 32, 48, 64, 80, 96, 128, 256} {
		onTmpfs(t, kib, func(dir string) {
			c := recorded(100, 60_000)
			r, err := NewStore("web", Retention{}, dir).put(t.Context(), c)
			x := whole
			for err == nil && r.LeftOut != "" && !strings.HasPrefix(r.LeftOut, x.String()+": ") {
				x++
			}
			if err != nil || x > last {
				t.Errorf("%d KiB: %v is left of the bundle, and of a smaller disk's %v (%v)", kib, x, last, err)
			}
			last = x
		})
	}
	if last != whole {
		t.Errorf("of the largest disk's bundle there is %v", last)
	}
}

// A disk that has room for a bundle once takes it, though its packets wait there: they give
// their room as they are written.
func TestSpoolNeedsNoRoomTwice(t *testing.T) {
	const packets = 3 << 20
	for _, c := range []struct {
		kib  int
		want extent
	}{{2 * packets >> 10, whole}, {packets>>10 + packets>>12, whole}, {packets>>10 - 100, nearPackets}} {
		onTmpfs(t, c.kib, func(dir string) {
			store := NewStore("web", Retention{}, dir)
			bundle := recorded(100, 0)
			for _, p := range []*pile{&bundle.packets.before, &bundle.packets.near, &bundle.packets.after} {
				*p = pile{most: nearMemory, open: store.unnamed}
				if p != &bundle.packets.near {
					p.most = 0
				}
				p.Write(noise(packets / 3))
				p.end()
			}
			defer bundle.packets.close()
			if n := bundle.packets.onDisk(); n < packets/3 {
				t.Fatalf("%d bytes wait on the disk", n)
			}
			r, err := store.put(t.Context(), bundle)
			if err != nil || (c.want == whole) != (r.LeftOut == "") || !strings.HasPrefix(r.LeftOut+": ", map[bool]string{true: ": ", false: c.want.String()}[c.want == whole]) {
				t.Fatalf("%d KiB for %d of packets: left out %q (%v), want %v", c.kib, packets>>10, r.LeftOut, err, c.want)
			}
			b, err := format.Open(r.Path, format.Limits{})
			must(t, err)
			defer b.Close()
			for _, err := range format.Check(b) {
				t.Error(err)
			}
		})
	}
}
