package format

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"io"
	"math/rand"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

const testName = "web1-20260102T030405Z-rtt"

var testTime = time.Date(2026, 1, 2, 3, 4, 5, 678, time.UTC)

// item is a member to write.
type item struct {
	name  string
	data  []byte
	frame bool // begins a frame
}

// smallItems is a bundle of three shared frames, small enough to be damaged at every byte.
func smallItems() []item {
	items := []item{
		{name: "vitals.csv", data: []byte("time,rtt.p99\n1767323045000000000,0.25\n")},
		{name: "kmsg.txt", data: []byte("1767323045000000000 eth0: link down\n")},
	}
	for i := range 4 {
		text := fmt.Sprintf("TcpExt: SyncookiesSent ListenDrops\nTcpExt: %d %d\n", i, 1000+i)
		items = append(items, item{
			name:  fmt.Sprintf("snapshots/2026-01-02T03:04:0%d.000000000Z/proc/net/netstat", i),
			data:  []byte(text),
			frame: i == 0,
		})
	}
	return append(items, item{name: "conntrack.txt", data: noise(700, 1), frame: true})
}

// largeItems has what a real bundle has: snapshots that hardly differ, and
// packets over several frames.
func largeItems(snapshots, packets int) []item {
	items := smallItems()[:2]
	base := noise(4000, 2)
	for i := range snapshots {
		for _, file := range []string{"proc/net/netstat", "proc/net/softnet_stat", "proc/interrupts"} {
			data := fmt.Appendf(nil, "%s\n%x\n%d\n", file, base, i)
			name := fmt.Sprintf("snapshots/2026-01-02T03:%02d:%02d.000000000Z/%s", i/60, i%60, file)
			items = append(items, item{name: name, data: data, frame: i == 0 && file == "proc/net/netstat"})
		}
	}
	return append(items, item{name: "packets.pcapng", data: packetHeaders(packets), frame: true})
}

// noise is text that does not compress away, the same on every run.
func noise(n int, seed int64) []byte {
	b := make([]byte, n)
	rand.New(rand.NewSource(seed)).Read(b)
	return b
}

// packetHeaders is about what a packet ring holds: records of 96 bytes with
// times, addresses of a few hundred flows, and sequence numbers that go on.
func packetHeaders(n int) []byte {
	rnd := rand.New(rand.NewSource(3))
	seq := make([]uint32, 400)
	b := make([]byte, 0, n+96)
	for t := uint64(1767323045e9); len(b) < n; t += uint64(rnd.Intn(20000)) {
		flow := rnd.Intn(len(seq))
		var rec [96]byte
		binary.LittleEndian.PutUint64(rec[0:], t)
		binary.LittleEndian.PutUint32(rec[8:], 66)
		copy(rec[16:], "\x02\x00\x00\x00\x00\x01\x02\x00\x00\x00\x00\x02\x08\x00\x45\x00")
		binary.BigEndian.PutUint16(rec[34:], uint16(rnd.Intn(65536)))
		binary.BigEndian.PutUint32(rec[42:], 0x0a000000+uint32(flow*7919))
		binary.BigEndian.PutUint32(rec[50:], uint32(40000+flow)<<16|443)
		binary.BigEndian.PutUint32(rec[54:], seq[flow])
		binary.BigEndian.PutUint32(rec[74:], uint32(t/1e6))
		seq[flow] += uint32(rnd.Intn(3)) * 1448
		b = append(b, rec[:]...)
	}
	return b[:n]
}

// fill writes a manifest and items.
func fill(w *Writer, items []item) error {
	if err := w.Manifest(&Manifest{Host: Host{Name: "web1"}, Trigger: Trigger{Expr: "rtt.p99 > 200ms"}}); err != nil {
		return err
	}
	for _, it := range items {
		if it.frame {
			if err := w.NewFrame(); err != nil {
				return err
			}
		}
		if err := w.Add(it.name, it.data); err != nil {
			return err
		}
	}
	return nil
}

// memFile is a file in memory.
type memFile struct{ bytes.Buffer }

func (*memFile) Sync() error  { return nil }
func (*memFile) Close() error { return nil }
func (*memFile) Name() string { return "memory" }

// bundleBytes is the bundle of items.
func bundleBytes(t testing.TB, items []item) []byte {
	t.Helper()
	f := new(memFile)
	w := newWriter(f, "", testName, testTime)
	if err := fill(w, items); err != nil {
		t.Fatal(err)
	}
	if err := w.finish(); err != nil {
		t.Fatal(err)
	}
	return f.Bytes()
}

func openBytes(t testing.TB, b []byte) *Reader {
	t.Helper()
	r, err := NewReader(bytes.NewReader(b), int64(len(b)), Limits{})
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// wantSound fails for any damage and any member that differs from items.
func wantSound(t *testing.T, r *Reader, items []item) {
	t.Helper()
	for _, err := range Check(r) {
		t.Error(err)
	}
	if got, want := len(r.Members()), len(items)+2; got != want {
		t.Fatalf("%d members, want %d", got, want)
	}
	for _, it := range items {
		if got := readMember(t, r, it.name); !bytes.Equal(got, it.data) {
			t.Errorf("member %q: %d bytes that differ from the %d written", it.name, len(got), len(it.data))
		}
	}
}

func readMember(t testing.TB, r *Reader, name string) []byte {
	t.Helper()
	f, err := r.Open(name)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	b, err := io.ReadAll(f)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestRoundTrip(t *testing.T) {
	for _, tt := range []struct {
		name  string
		items []item
	}{
		{"manifest only", nil},
		{"small", smallItems()},
		{"empty member", []item{{name: "kmsg.txt"}, {name: "vitals.csv", data: []byte("time\n")}}},
		{"large", largeItems(20, 13<<20+7)},
		{"whole frames", []item{{name: "packets.pcapng", data: noise(2*bulkFrame-tarBlock, 4)}}},
		{"large beside small", []item{{name: "a", data: noise(bulkFrame, 5)}, {name: "b", data: noise(9, 6)}, {name: "c", data: noise(bulkFrame+1, 7)}}},
		{"long names", []item{{name: "static/" + longName(200), data: []byte("x")}, {name: "static/größe", data: []byte("y")}}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			b := bundleBytes(t, tt.items)
			r := openBytes(t, b)
			wantSound(t, r, tt.items)
			if r.Manifest.Name != testName || r.Manifest.Format != Version || r.Manifest.Host.Name != "web1" {
				t.Errorf("manifest: %+v", r.Manifest)
			}
			if !IsBundle(b[:min(len(b), SniffLen)]) {
				t.Error("IsBundle: false")
			}
		})
	}
}

func longName(n int) string { return string(bytes.Repeat([]byte("x"), n)) }

// A member may be opened in any order and several at a time.
func TestOpenAnyOrder(t *testing.T) {
	items := largeItems(10, 9<<20)
	r := openBytes(t, bundleBytes(t, items))
	done := make(chan error)
	for g := range 4 {
		go func() {
			for _, k := range rand.New(rand.NewSource(int64(g))).Perm(len(items)) {
				f, err := r.Open(items[k].name)
				if err != nil {
					done <- err
					return
				}
				got, err := io.ReadAll(f)
				f.Close()
				if err != nil || !bytes.Equal(got, items[k].data) {
					done <- fmt.Errorf("%s: %d bytes, error %v", items[k].name, len(got), err)
					return
				}
			}
			done <- nil
		}()
	}
	for range 4 {
		if err := <-done; err != nil {
			t.Error(err)
		}
	}
}

// countingFile counts the bytes that are read from it.
type countingFile struct {
	*bytes.Reader
	n int64
}

func (c *countingFile) ReadAt(p []byte, off int64) (int, error) {
	n, err := c.Reader.ReadAt(p, off)
	c.n += int64(n)
	return n, err
}

// Opening a bundle has to skip most of a large member by the seek table.
func TestSeekTableSkips(t *testing.T) {
	b := bundleBytes(t, []item{{name: "packets.pcapng", data: noise(10*bulkFrame, 8)}, {name: "kmsg.txt", data: []byte("x\n")}})
	src := &countingFile{Reader: bytes.NewReader(b)}
	r, err := NewReader(src, int64(len(b)), Limits{})
	if err != nil {
		t.Fatal(err)
	}
	if src.n > 2*bulkFrame {
		t.Errorf("opening read %d of %d bytes", src.n, len(b))
	}
	if got := string(readMember(t, r, "kmsg.txt")); got != "x\n" {
		t.Errorf("kmsg.txt: %q", got)
	}
}

func TestSameBytes(t *testing.T) {
	items := largeItems(30, 5<<20)
	if !bytes.Equal(bundleBytes(t, items), bundleBytes(t, items)) {
		t.Error("the same content gave different bytes")
	}
}

// 300 snapshots that hardly differ must cost little more than one.
func TestSnapshotsShareFrame(t *testing.T) {
	one := len(bundleBytes(t, largeItems(1, 0)))
	many := len(bundleBytes(t, largeItems(300, 0)))
	// SHA256SUMS has 32 random bytes for each of the 3 files a snapshot.
	if sums := 300 * 3 * 40; many > 3*one+sums+300*3*60 {
		t.Errorf("1 snapshot: %d bytes, 300: %d", one, many)
	}
}

func TestCommit(t *testing.T) {
	dir := t.TempDir()
	w, err := Create(dir, testName, testTime)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"." + testName + ".spike.tar.zst.partial"}, list(t, dir)); diff != "" {
		t.Errorf("while writing: %s", diff)
	}
	if err := fill(w, smallItems()); err != nil {
		t.Fatal(err)
	}
	path, err := w.Commit()
	if err != nil {
		t.Fatal(err)
	}
	if err := w.Abort(); err != nil {
		t.Errorf("abort after commit: %v", err)
	}
	if want := filepath.Join(dir, testName+".spike.tar.zst"); path != want {
		t.Errorf("path %q, want %q", path, want)
	}
	info, err := os.Stat(path)
	if err != nil || info.Mode() != 0o600 {
		t.Errorf("mode %v, error %v", info.Mode(), err)
	}
	if diff := cmp.Diff([]string{testName + ".spike.tar.zst"}, list(t, dir)); diff != "" {
		t.Errorf("after commit: %s", diff)
	}
	r, err := Open(path, Limits{})
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	wantSound(t, r, smallItems())
	if _, err := Create(dir, testName, testTime); !os.IsExist(unwrapAll(err)) {
		t.Errorf("create over a bundle: %v", err)
	}
}

func list(t *testing.T, dir string) (names []string) {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return names
}

func unwrapAll(err error) error {
	for {
		u, ok := err.(interface{ Unwrap() error })
		if !ok {
			return err
		}
		err = u.Unwrap()
	}
}
