package format

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// Other people's tools have to read a bundle (SPEC.md, "Container").
func TestOtherTools(t *testing.T) {
	needTools(t, "tar", "zstd", "bsdtar", "sha256sum")
	dir := t.TempDir()
	w, err := Create(dir, testName, testTime)
	if err != nil {
		t.Fatal(err)
	}
	items := append(largeItems(3, 9<<20), item{name: "static/" + longName(200), data: []byte("x")})
	if err := fill(w, items); err != nil {
		t.Fatal(err)
	}
	bundle, err := w.Commit()
	if err != nil {
		t.Fatal(err)
	}
	tool(t, "", "zstd", "-q", "-t", bundle)
	for _, args := range [][]string{{"tar", "--zstd", "-xf", bundle}, {"bsdtar", "-xf", bundle}} {
		t.Run(args[0], func(t *testing.T) {
			out := t.TempDir()
			tool(t, out, args[0], args[1:]...)
			folder := filepath.Join(out, testName)
			for _, it := range items {
				got, err := os.ReadFile(filepath.Join(folder, filepath.FromSlash(it.name)))
				if err != nil || !bytes.Equal(got, it.data) {
					t.Errorf("%s: %d bytes, error %v", it.name, len(got), err)
				}
			}
			if got := list(t, out); len(got) != 1 {
				t.Errorf("unpacking made %q", got)
			}
			tool(t, folder, "sha256sum", "--strict", "--quiet", "-c", SumsName)
		})
	}
}

// needTools skips the test where a program is missing, and fails it where none may be.
func needTools(t *testing.T, names ...string) {
	t.Helper()
	for _, name := range names {
		if _, err := exec.LookPath(name); err != nil && os.Getenv("CI") == "true" {
			t.Fatal(err)
		} else if err != nil {
			t.Skip("needs tar, zstd, bsdtar and sha256sum: apt-get install zstd libarchive-tools")
		}
	}
}

// tool runs a program.
func tool(t *testing.T, dir, name string, args ...string) {
	t.Helper()
	cmd := exec.Command(name, args...)
	cmd.Dir = dir
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("%s %q: %v\n%s", name, args, err, out)
	}
}

// A bundle that was unpacked and packed again by hand stays readable.
func TestPackedAgain(t *testing.T) {
	dir := t.TempDir()
	if _, err := Extract(t.Context(), openBytes(t, bundleBytes(t, smallItems())), dir, nil); err != nil {
		t.Fatal(err)
	}
	again := filepath.Join(dir, "again.tar.zst")
	needTools(t, "tar", "zstd")
	tool(t, dir, "tar", "--zstd", "-cf", again, testName)
	r, err := Open(again, Limits{})
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	wantSound(t, r, smallItems())
}
