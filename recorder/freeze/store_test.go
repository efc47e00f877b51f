//go:build linux

package freeze

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"runtime"
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

// noise is n bytes that nothing makes smaller, others for each seed.
func noise(n, seed int) []byte {
	b := make([]byte, n)
	rng := rand.NewChaCha8([32]byte{byte(seed)})
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
	for i, p := range []*pile{&c.packets.before, &c.packets.near, &c.packets.after} {
		*p = pile{most: nearMemory, open: func() (spoolFile, error) { return nil, unix.ENOSPC }}
		p.Write(noise(packets/3, i))
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
			if err := f(at, member.SnapshotName(at, "proc/net/netstat"), noise(200, i)); err != nil {
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
		data := noise(500_000, 0)
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
	last, seen := smallest+1, map[extent]bool{}
	for kib := 20; kib <= 128; kib += 4 {
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
			last, seen[x] = x, true
		})
	}
	onTmpfs(t, 0, func(dir string) { // without a size
		if r, err := NewStore("web", Retention{MinFree: 0.1}, dir).put(t.Context(), recorded(100, 60_000)); err != nil || r.LeftOut != "" {
			t.Errorf("of a disk without a size: %q (%v)", r.LeftOut, err)
		}
	})
	if len(seen) < int(smallest) || last != whole {
		t.Errorf("bundles of %d extents, the last of them %v", len(seen), last)
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
			for i, p := range []*pile{&bundle.packets.before, &bundle.packets.near, &bundle.packets.after} {
				*p = pile{most: nearMemory, open: store.unnamed}
				if p != &bundle.packets.near {
					p.most = 0
				}
				p.Write(noise(packets/3, i))
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
