package format

import (
	"bytes"
	"compress/gzip"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/klauspost/compress/zstd"
)

// forms writes a bundle in every form in which people move bundles.
func forms(t *testing.T) map[string]string {
	t.Helper()
	dir := t.TempDir()
	whole := pack(t, archive())
	dec, err := zstd.NewReader(bytes.NewReader(whole))
	if err != nil {
		t.Fatal(err)
	}
	defer dec.Close()
	plain, err := io.ReadAll(dec)
	if err != nil {
		t.Fatal(err)
	}
	var gz bytes.Buffer
	z := gzip.NewWriter(&gz)
	z.Write(plain)
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	all := map[string]string{}
	for name, b := range map[string][]byte{"b.tar.zst": whole, "b.tar": plain, "b.tar.gz": gz.Bytes()} {
		all[name] = filepath.Join(dir, name)
		if err := os.WriteFile(all[name], b, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	r := openBytes(t, whole)
	if bad, err := Extract(t.Context(), r, dir, nil); len(bad) > 0 || err != nil {
		t.Fatal(bad, err)
	}
	all["folder"] = filepath.Join(dir, "renamed")
	if err := os.Rename(filepath.Join(dir, r.Folder()), all["folder"]); err != nil {
		t.Fatal(err)
	}
	return all
}

// texts gives the members with their contents.
func texts(t *testing.T, r *Reader) map[string]string {
	t.Helper()
	all := map[string]string{}
	if err := r.Walk(func(m Member, content io.Reader) error {
		b, err := io.ReadAll(content)
		all[m.Name] = string(b)
		return err
	}); err != nil {
		t.Fatal(err)
	}
	return all
}

// Each form is the same bundle, from a file and as a stream, and every sum is right.
func TestForms(t *testing.T) {
	all := forms(t)
	temporary := t.TempDir()
	t.Setenv("TMPDIR", temporary)
	want := texts(t, opened(t, all["b.tar.zst"]))
	for name, path := range all {
		readers := map[string]*Reader{"file": opened(t, path)}
		if b, err := os.ReadFile(path); err == nil {
			if !IsBundle(b[:min(len(b), SniffLen)]) {
				t.Errorf("%s: IsBundle: false", name)
			}
			if readers["stream"], err = OpenStream(bytes.NewReader(b), Limits{}); err != nil {
				t.Fatalf("%s: %v", name, err)
			}
		}
		for way, r := range readers {
			if bad := Check(r); len(bad) > 0 {
				t.Errorf("%s, %s: %v", name, way, bad)
			}
			got := texts(t, r)
			for member, text := range want {
				if got[member] != text {
					t.Errorf("%s, %s: member %q differs", name, way, member)
				}
			}
			if len(got) != len(want) || r.Folder() != opened(t, all["b.tar.zst"]).Folder() {
				t.Errorf("%s, %s: %d members in %q, want %d", name, way, len(got), r.Folder(), len(want))
			}
			if err := r.Close(); err != nil {
				t.Error(err)
			}
		}
	}
	if left, err := os.ReadDir(temporary); err != nil || len(left) > 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}
}

func opened(t *testing.T, path string) *Reader {
	t.Helper()
	r, err := Open(path, Limits{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { r.Close() })
	return r
}

// A form that lost something since gives what is left, and says what is wrong.
func TestDamagedForms(t *testing.T) {
	all := forms(t)
	shorten := func(name string, n int64) {
		info, err := os.Stat(all[name])
		if err != nil {
			t.Fatal(err)
		}
		if err := os.Truncate(all[name], info.Size()-n); err != nil {
			t.Fatal(err)
		}
	}
	shorten("b.tar.gz", 12)
	shorten("b.tar", 2<<10)
	vitals := filepath.Join(all["folder"], "vitals.csv")
	if err := os.WriteFile(vitals, []byte("else\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]string{"b.tar.gz": "its compression ends before its end", "b.tar": "", "folder": "vitals.csv"} {
		bad := Check(opened(t, all[name]))
		if len(bad) == 0 || !strings.Contains(errors.Join(bad...).Error(), want) {
			t.Errorf("%s: %v, want %q", name, bad, want)
		}
	}
}

// What lies in a stranger's folder leads nowhere else, and is not waited for.
func TestFolderHoldsOnlyFiles(t *testing.T) {
	all := forms(t)
	secret := filepath.Join(t.TempDir(), "secret")
	if err := os.WriteFile(secret, []byte("token"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(secret, filepath.Join(all["folder"], "events.jsonl")); err != nil {
		t.Skip(err)
	}
	r := opened(t, all["folder"])
	for name, text := range texts(t, r) {
		if strings.Contains(text, "token") {
			t.Errorf("member %q holds what a link pointed to", name)
		}
	}
	if bad := errors.Join(r.Damage()...); bad == nil || !strings.Contains(bad.Error(), `"events.jsonl" is no regular file`) {
		t.Errorf("damage %v", bad)
	}
}

// Where a system has no such names, or a file was marked, the sums tell the member's own.
func TestNamesOfUnpackedFiles(t *testing.T) {
	dir := t.TempDir()
	member := "snapshots/2026-11-21T03:00:05.000000000Z/proc/net/dev"
	if err := os.WriteFile(filepath.Join(dir, SumsName), []byte(strings.Repeat("0", 64)+"  "+member+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer root.Close()
	names := memberNames(root, "windows")
	local := "snapshots/2026-11-21T03_00_05.000000000Z/proc/net/dev"
	if names[local] != member || names[local+damagedExt] != member {
		t.Errorf("names %v", names)
	}
}

// No form takes more than the limits, whatever it unpacks to.
func TestFormsAreBounded(t *testing.T) {
	all := forms(t)
	for _, name := range []string{"b.tar", "b.tar.gz", "folder"} {
		var limit *LimitError
		if _, err := Open(all[name], Limits{MaxTotal: 2048}); !errors.As(err, &limit) {
			t.Errorf("%s: error %v", name, err)
		}
		if _, err := Open(all[name], Limits{MaxMembers: 2}); !errors.As(err, &limit) {
			t.Errorf("%s: error %v", name, err)
		}
	}
	if _, err := OpenStream(strings.NewReader("The host was slow."), Limits{}); !errors.Is(err, ErrNotBundle) {
		t.Errorf("a text: %v", err)
	}
	if _, err := OpenStream(strings.NewReader(""), Limits{}); !errors.Is(err, ErrNotBundle) {
		t.Errorf("nothing: %v", err)
	}
}
