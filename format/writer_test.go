package format

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// brokenFile is a file on a disk that takes room bytes and then fails.
type brokenFile struct {
	*os.File
	room    int
	writes  []int // the offset at the end of each
	syncErr error
}

func (f *brokenFile) Write(p []byte) (int, error) {
	n, err := f.File.Write(p[:min(len(p), f.room)])
	f.room -= n
	if n < len(p) && err == nil {
		err = syscall.ENOSPC
	}
	at, _ := f.Seek(0, io.SeekCurrent)
	f.writes = append(f.writes, int(at))
	return n, err
}

func (f *brokenFile) Sync() error { return errors.Join(f.syncErr, f.File.Sync()) }

// brokenWriter is a Writer in dir on a brokenFile.
func brokenWriter(t *testing.T, dir string, room int) (*Writer, *brokenFile) {
	t.Helper()
	w, err := Create(dir, testName, testTime)
	if err != nil {
		t.Fatal(err)
	}
	f := &brokenFile{File: w.f.(*os.File), room: room}
	w.f, w.frames.out = f, f
	return w, f
}

// wantNothing fails unless w is of no more use and leaves nothing behind.
func wantNothing(t *testing.T, w *Writer, dir string) {
	t.Helper()
	if err := w.Add("late.txt", nil); err == nil {
		t.Error("Add after an error: none")
	}
	if path, err := w.Commit(); err == nil || path != "" {
		t.Errorf("Commit after an error: %q", path)
	}
	if got := list(t, dir); len(got) != 1 || !strings.HasSuffix(got[0], ".partial") {
		t.Errorf("before Abort: %q", got)
	}
	if err := w.Abort(); err != nil {
		t.Error(err)
	}
	if got := list(t, dir); len(got) != 0 {
		t.Errorf("after Abort: %q", got)
	}
}

func TestDiskFullAnywhere(t *testing.T) {
	// A commit that succeeds tells where the writes end.
	w, f := brokenWriter(t, t.TempDir(), 1<<30)
	if err := fill(w, largeItems(3, 5<<20)); err != nil {
		t.Fatal(err)
	}
	if _, err := w.Commit(); err != nil {
		t.Fatal(err)
	}
	var rooms []int
	for _, end := range f.writes {
		rooms = append(rooms, end-1, end-1-end%7)
	}
	for _, room := range rooms {
		dir := t.TempDir()
		w, _ := brokenWriter(t, dir, room)
		err := fill(w, largeItems(3, 5<<20))
		if err == nil {
			_, err = w.Commit()
		}
		offset := fmt.Sprintf("at file offset %d: ", room)
		if !errors.Is(err, syscall.ENOSPC) || !strings.Contains(err.Error(), offset) {
			t.Errorf("room for %d bytes: %v", room, err)
		}
		wantNothing(t, w, dir)
	}
}

func TestSyncFails(t *testing.T) {
	dir := t.TempDir()
	w, f := brokenWriter(t, dir, 1<<30)
	f.syncErr = syscall.EIO
	if err := fill(w, smallItems()); err != nil {
		t.Fatal(err)
	}
	if path, err := w.Commit(); !errors.Is(err, syscall.EIO) || path != "" {
		t.Errorf("commit: %q, %v", path, err)
	}
	wantNothing(t, w, dir)
}

// A second bundle of the same name is refused, whichever comes first.
func TestNameTaken(t *testing.T) {
	dir := t.TempDir()
	w, err := Create(dir, testName, testTime)
	if err != nil {
		t.Fatal(err)
	}
	defer w.Abort()
	if _, err := Create(dir, testName, testTime); !errors.Is(err, os.ErrExist) {
		t.Errorf("second writer: %v", err)
	}
	final := filepath.Join(dir, testName+Ext)
	if err := os.WriteFile(final, []byte("older"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := fill(w, nil); err != nil {
		t.Fatal(err)
	}
	if _, err := w.Commit(); !errors.Is(err, os.ErrExist) {
		t.Errorf("commit over a bundle: %v", err)
	}
	if b, _ := os.ReadFile(final); string(b) != "older" {
		t.Errorf("the older bundle holds %q", b)
	}
}

func TestSizeLies(t *testing.T) {
	boom := errors.New("boom")
	for _, tt := range []struct {
		name  string
		write func(io.Writer) error
		want  string
	}{
		{"fewer", give([]byte("12345678")), `write member "packets.pcapng" at file offset`},
		{"more", give([]byte("12345678901")), "1 bytes more than announced"},
		{"more, error ignored", func(w io.Writer) error { w.Write(make([]byte, 11)); return nil }, "1 bytes more than announced"},
		{"source fails", func(io.Writer) error { return boom }, "boom"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			dir := t.TempDir()
			w, err := Create(dir, testName, testTime)
			if err != nil {
				t.Fatal(err)
			}
			if err := fill(w, nil); err != nil {
				t.Fatal(err)
			}
			if err := w.AddSized("packets.pcapng", 10, tt.write); err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("error %v, want %q", err, tt.want)
			}
			wantNothing(t, w, dir)
		})
	}
}

// What a Writer refuses leaves it usable.
func TestRefusedByWriter(t *testing.T) {
	w := newWriter(new(memFile), "", testName, testTime)
	if err := w.Add("vitals.csv", nil); err == nil {
		t.Error("member before the manifest: no error")
	}
	if _, err := w.Commit(); err == nil {
		t.Error("commit without a manifest: no error")
	}
	if err := fill(w, smallItems()); err != nil {
		t.Fatal(err)
	}
	if err := w.Manifest(&Manifest{}); err == nil {
		t.Error("second manifest: no error")
	}
	for _, name := range []string{"", ".", "/etc/passwd", "../x", "a/../b", "a//b", "a/", `a\b`, "a\nb", "a\x7f", "\xff",
		"a\u0085b", "\u009b2J", "a\u202etxt.exe", "\u2066x", "a\u200e", "a\u061c", "a\u200b", "a\u2028b", "a\u2029b", "\ufeffx", "a\U000e0041",
		longName(256), strings.Repeat("a/", 300) + "b", "vitals.csv", "SHA256SUMS", "spikebox.json"} {
		if err := w.Add(name, nil); err == nil {
			t.Errorf("member %q: no error", name)
		}
	}
	if err := w.AddSized("negative", -1, give(nil)); err == nil {
		t.Error("negative size: no error")
	}
	if err := w.finish(); err != nil {
		t.Fatal(err)
	}
	wantSound(t, openBytes(t, w.f.(*memFile).Bytes()), smallItems())
}

func TestBundleNames(t *testing.T) {
	for _, name := range []string{"", "a/b", ".hidden", "..", `a\b`, longName(240)} {
		if _, err := Create(t.TempDir(), name, testTime); err == nil {
			t.Errorf("bundle name %.20q: no error", name)
		}
	}
}

// The memory of a Writer must not grow with the content.
func TestWriterStreams(t *testing.T) {
	w := newWriter(&discardFile{}, "", testName, testTime)
	if err := fill(w, nil); err != nil {
		t.Fatal(err)
	}
	chunk := packetHeaders(1 << 20)
	stream := func(n int) func() {
		return func() {
			err := w.AddSized(fmt.Sprintf("m%d", len(w.names)), int64(n)<<20, func(to io.Writer) error {
				for range n {
					if _, err := to.Write(chunk); err != nil {
						return err
					}
				}
				return nil
			})
			if err != nil {
				t.Fatal(err)
			}
		}
	}
	// The allocations of 64 MiB have to be about those of 8.
	short, long := allocated(stream(8)), allocated(stream(64))
	if long > short+1<<20 {
		t.Errorf("8 MiB allocate %d bytes, 64 MiB %d", short, long)
	}
}

// allocated is what f allocates, once everything is warm, in bytes.
func allocated(f func()) uint64 {
	f()
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	f()
	runtime.ReadMemStats(&after)
	return after.TotalAlloc - before.TotalAlloc
}

type discardFile struct{ memFile }

func (*discardFile) Write(p []byte) (int, error) { return len(p), nil }

// A writer that was killed leaves a file for Sweep; that of a live one stays.
func TestSweep(t *testing.T) {
	if dir := os.Getenv("SPIKEBOX_TEST_WRITER"); dir != "" {
		writeForever(dir)
	}
	dir := t.TempDir()
	keep := []string{"other.partial", testName + Ext, ".x.partial"}
	for _, name := range keep {
		if err := os.WriteFile(filepath.Join(dir, name), nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	cmd := exec.Command(os.Args[0], "-test.run=^TestSweep$")
	cmd.Env = append(os.Environ(), "SPIKEBOX_TEST_WRITER="+dir)
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	if line, err := bufio.NewReader(out).ReadString('\n'); line != "writing\n" {
		t.Fatalf("writer: %q, %v", line, err)
	}
	if names, err := Sweep(dir); len(names) > 0 || err != nil {
		t.Errorf("while the writer lives: %q, %v", names, err)
	}
	cmd.Process.Kill()
	cmd.Wait()
	if err := os.WriteFile(filepath.Join(dir, partialName("nothing")), []byte("no bundle"), 0o600); err != nil {
		t.Fatal(err)
	}
	swept, err := Sweep(dir)
	want := []Swept{{partialName("killed"), "killed.truncated" + Ext}, {Partial: partialName("nothing")}}
	if diff := cmp.Diff(want, swept); err != nil || diff != "" {
		t.Errorf("after its death: %v\n%s", err, diff)
	}
	if got := list(t, dir); len(got) != len(keep)+1 {
		t.Errorf("left: %q", got)
	}
	// What the writer had finished is there, and that the rest is missing is said.
	r, err := Open(filepath.Join(dir, want[0].Kept), Limits{})
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	if got := readMember(t, r, "kmsg.txt"); len(r.Damage()) == 0 || !bytes.Equal(got, smallItems()[1].data) {
		t.Errorf("kmsg.txt is %q, damage %v", got, r.Damage())
	}
	if _, err := Sweep(filepath.Join(dir, "missing")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("missing folder: %v", err)
	}
}

// writeForever is the process that gets killed.
func writeForever(dir string) {
	w, err := Create(dir, "killed", testTime)
	if err == nil {
		err = errors.Join(fill(w, smallItems()), w.NewFrame())
	}
	if err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
	fmt.Println("writing")
	time.Sleep(time.Hour)
}

func TestHeadersAreFixed(t *testing.T) {
	head, err := tarHeader("web1/vitals.csv", 12, testTime)
	if err != nil {
		t.Fatal(err)
	}
	want := make([]byte, tarBlock)
	for off, field := range map[int]string{0: "web1/vitals.csv", 100: "0000644\x00", 108: "0000000\x00", 116: "0000000\x00",
		124: "00000000014\x00", 136: "15125632645\x00", 148: "012125\x00 ", 156: "0", 257: "ustar\x0000", 329: "0000000\x00", 337: "0000000\x00"} {
		copy(want[off:], field)
	}
	if !bytes.Equal(head, want) {
		t.Errorf("header\n%q, want\n%q", head, want)
	}
}
