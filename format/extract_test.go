package format

import (
	"bytes"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// files are the contents of all files under dir, by slash path.
func files(t *testing.T, dir string) map[string]string {
	t.Helper()
	got := map[string]string{}
	err := fs.WalkDir(os.DirFS(dir), ".", func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		b, err := os.ReadFile(filepath.Join(dir, path))
		got[path] = string(b)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return got
}

func TestExtract(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "new", "folder")
	b := bundleBytes(t, smallItems())
	if damaged, err := Extract(openBytes(t, b), dir); len(damaged) > 0 || err != nil {
		t.Fatal(damaged, err)
	}
	want := map[string]string{}
	for name, data := range contents(t, b) {
		want[localName(name, "linux")] = string(data)
	}
	if diff := cmp.Diff(want, files(t, dir)); diff != "" {
		t.Error(diff)
	}
	// A second time everything is in the way, and stays.
	if _, err := Extract(openBytes(t, b), dir); !errors.Is(err, os.ErrExist) {
		t.Errorf("extract over files: %v", err)
	}
	if diff := cmp.Diff(want, files(t, dir)); diff != "" {
		t.Error(diff)
	}
}

// What is whole is there, what is not has another name, and both results say so.
func TestExtractDamaged(t *testing.T) {
	items := append(smallItems(), item{name: "packets.pcapng", data: noise(3*bulkFrame, 13)})
	b := bundleBytes(t, items)
	b = b[:len(b)-bulkFrame]
	dir := t.TempDir()
	damaged, err := Extract(openBytes(t, b), dir)
	if err != nil || len(damaged) != 1 {
		t.Fatal(damaged, err)
	}
	got := files(t, dir)
	part := got["packets.pcapng.damaged"]
	if _, whole := got["packets.pcapng"]; whole || len(part) < bulkFrame || !bytes.HasPrefix(items[len(items)-1].data, []byte(part)) {
		t.Errorf("%d bytes of packets, and under the right name: %v", len(part), whole)
	}
	if got["kmsg.txt"] != string(items[1].data) {
		t.Errorf("kmsg.txt: %q", got["kmsg.txt"])
	}
}

// No vector writes outside of the target folder, and a link there leads nowhere.
func TestExtractStaysInside(t *testing.T) {
	vectors, err := filepath.Glob("testdata/*" + Ext)
	if err != nil || len(vectors) == 0 {
		t.Fatal(err)
	}
	for _, path := range vectors {
		r, err := Open(path, Limits{})
		if err != nil {
			continue
		}
		parent := t.TempDir()
		if _, err := Extract(r, filepath.Join(parent, "in")); err != nil {
			t.Errorf("%s: %v", path, err)
		}
		if got := list(t, parent); len(got) != 1 {
			t.Errorf("%s: %q", path, got)
		}
		r.Close()
	}
	parent := t.TempDir()
	in, out := filepath.Join(parent, "in"), filepath.Join(parent, "out")
	if err := errors.Join(os.Mkdir(in, 0o700), os.Mkdir(out, 0o700)); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(out, filepath.Join(in, "snapshots")); err != nil {
		t.Skipf("needs a system with symbolic links: %v", err)
	}
	if _, err := Extract(openBytes(t, bundleBytes(t, smallItems())), in); err == nil {
		t.Error("extract through a link: no error")
	}
	if got := list(t, out); len(got) > 0 {
		t.Errorf("behind the link: %q", got)
	}
}

func TestLocalName(t *testing.T) {
	const name = "snapshots/2026-01-02T03:04:05.000000000Z/proc/net/netstat"
	if got := localName(name, "linux"); got != name {
		t.Error(got)
	}
	if got, want := localName(name, "windows"), "snapshots/2026-01-02T03_04_05.000000000Z/proc/net/netstat"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
}
