package format

import (
	"archive/tar"
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/klauspost/compress/zstd"
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
	if damaged, err := Extract(t.Context(), openBytes(t, b), dir, nil); len(damaged) > 0 || err != nil {
		t.Fatal(damaged, err)
	}
	want := map[string]string{}
	for name, data := range contents(t, b) {
		want[testName+"/"+localName(name, "linux")] = string(data)
	}
	if diff := cmp.Diff(want, files(t, dir)); diff != "" {
		t.Error(diff)
	}
	// A second time everything is in the way, and stays.
	if _, err := Extract(t.Context(), openBytes(t, b), dir, nil); !errors.Is(err, os.ErrExist) {
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
	damaged, err := Extract(t.Context(), openBytes(t, b), dir, nil)
	if err != nil || len(damaged) != 1 {
		t.Fatal(damaged, err)
	}
	got := files(t, filepath.Join(dir, testName))
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
		if _, err := Extract(t.Context(), r, filepath.Join(parent, "in"), nil); err != nil {
			t.Errorf("%s: %v", path, err)
		}
		if got := list(t, parent); len(got) != 1 {
			t.Errorf("%s: %q", path, got)
		}
		r.Close()
	}
}

// What lies in the target folder may be a link to anywhere, under the bundle's own name
// or in its folder; both are somebody else's.
func TestExtractFollowsNoLink(t *testing.T) {
	for _, place := range []string{testName, testName + "/snapshots", testName + "/kmsg.txt"} {
		parent := t.TempDir()
		in, out := filepath.Join(parent, "in"), filepath.Join(parent, "out")
		link := filepath.Join(in, place)
		if err := errors.Join(os.MkdirAll(filepath.Dir(link), 0o700), os.Mkdir(out, 0o700)); err != nil {
			t.Fatal(err)
		}
		if err := os.Symlink(out, link); err != nil {
			t.Skipf("needs a system with symbolic links: %v", err)
		}
		if _, err := Extract(t.Context(), openBytes(t, bundleBytes(t, smallItems())), in, nil); err == nil {
			t.Errorf("extract through the link %s: no error", place)
		}
		if got := list(t, out); len(got) > 0 {
			t.Errorf("behind the link %s: %q", place, got)
		}
	}
}

// The manifest's name is a stranger's word: the folder in the archive decides, and a
// difference is damage.
func TestExtractTakesTheFolder(t *testing.T) {
	for _, name := range []string{"..", ".", "", "/", "/etc", "a/../..", "other", "x\\y", "nul\x00"} {
		items := smallItems()
		b := repacked(t, bundleBytes(t, items), true, func(member string, data []byte) []byte {
			if member != ManifestName {
				return data
			}
			quoted, err := json.Marshal(name)
			if err != nil {
				t.Fatal(err)
			}
			return bytes.Replace(data, []byte(`"`+testName+`"`), quoted, 1)
		})
		r := openBytes(t, b)
		if len(r.Damage()) == 0 {
			t.Errorf("a manifest that names the bundle %q: no damage", name)
		}
		parent := t.TempDir()
		dir := filepath.Join(parent, "in")
		if _, err := Extract(t.Context(), r, dir, nil); err != nil {
			t.Errorf("%q: %v", name, err)
		}
		if got := list(t, parent); len(got) != 1 || got[0] != "in" {
			t.Errorf("%q: wrote %q beside the target folder", name, got)
		}
		if got := list(t, dir); len(got) != 1 || got[0] != testName {
			t.Errorf("%q: wrote %q, want the folder %s alone", name, got, testName)
		}
	}
}

// A member that was changed after its sum was made gets no right name.
func TestExtractChecksSums(t *testing.T) {
	b := repacked(t, bundleBytes(t, smallItems()), false, func(member string, data []byte) []byte {
		return bytes.Replace(data, []byte("link down"), []byte("link fine"), 1)
	})
	dir := t.TempDir()
	damaged, err := Extract(t.Context(), openBytes(t, b), dir, nil)
	if err != nil || len(damaged) != 1 || !errors.Is(damaged[0], errSum) {
		t.Fatal(damaged, err)
	}
	got := files(t, filepath.Join(dir, testName))
	if _, ok := got["kmsg.txt"]; ok {
		t.Error("kmsg.txt has its name, and not its content")
	}
	if got["kmsg.txt.damaged"] == "" {
		t.Error("kmsg.txt.damaged is not there")
	}
}

// repacked is a bundle whose members were changed by hand, with or without new sums.
func repacked(t *testing.T, b []byte, resum bool, change func(member string, data []byte) []byte) []byte {
	t.Helper()
	dec, err := zstd.NewReader(bytes.NewReader(b))
	if err != nil {
		t.Fatal(err)
	}
	defer dec.Close()
	var out, lines bytes.Buffer
	enc, err := zstd.NewWriter(&out)
	if err != nil {
		t.Fatal(err)
	}
	w := tar.NewWriter(enc)
	for r := tar.NewReader(dec); ; {
		h, err := r.Next()
		if err == io.EOF {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		data, err := io.ReadAll(r)
		if err != nil {
			t.Fatal(err)
		}
		_, member, _ := strings.Cut(h.Name, "/")
		if data = change(member, data); member == SumsName && resum {
			data = lines.Bytes()
		}
		fmt.Fprintf(&lines, "%x  %s\n", sha256.Sum256(data), member)
		h.Size = int64(len(data))
		if err := w.WriteHeader(h); err != nil {
			t.Fatal(err)
		}
		if _, err := w.Write(data); err != nil {
			t.Fatal(err)
		}
	}
	if err := errors.Join(w.Close(), enc.Close()); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
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
