package format

import (
	"archive/tar"
	"bytes"
	"crypto/sha256"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/klauspost/compress/zstd"
)

var update = flag.Bool("update", false, "write testdata/ anew")

// vector is a bundle with one fault, kept as testdata/<name>.spike.tar.zst; what
// a reader makes of it is in <name>.txt beside it.
type vector struct {
	name string
	make func(t *testing.T) []byte
	lim  Limits
	is   error  // what the error of NewReader is, if it has to be something
	want string // in the error of NewReader, or in what Check finds; empty for neither
}

var vectors = []vector{
	{name: "good", make: func(t *testing.T) []byte { return bundleBytes(t, smallItems()) }},
	{name: "no-seek-table", make: func(t *testing.T) []byte { return pack(t, archive()) }},

	// The container.
	{name: "empty", make: literal(""), is: ErrNotBundle, want: "it does not begin with a zstd frame"},
	{name: "plain-tar", make: func(t *testing.T) []byte { return tarOf(t, archive()) }, is: ErrNotBundle, want: "it does not begin with a zstd frame"},
	{name: "pcap-in-zstd", make: func(t *testing.T) []byte { return frameOf(noise(5000, 12)) }, is: ErrNotBundle, want: "a zstd file without a tar archive"},
	{name: "empty-tar", make: func(t *testing.T) []byte { return frameOf(zeros[:]) }, is: ErrNotBundle, want: "no member is in it"},
	{name: "window-of-2-gib", make: literal("\x28\xb5\x2f\xfd\x04\xa8\x01\x00\x00\x00\x00\x00\x00"), want: "nothing in it can be read: decode zstd frame 0"},
	{name: "garbage-behind", make: func(t *testing.T) []byte { return append(pack(t, archive()), "garbage"...) }, want: "read zstd frame at file offset"},

	// Cut short.
	{name: "cut-in-magic", make: cut(0, 3), is: ErrNotBundle, want: "does not begin with a zstd frame"},
	{name: "cut-in-manifest", make: cut(0, 100), is: ErrTruncated, want: "it ends before the end of the manifest"},
	{name: "cut-in-snapshots", make: cut(2, 100), want: "read SHA256SUMS: it is missing"},
	{name: "cut-between-frames", make: cut(3, 0), want: "read SHA256SUMS: it is missing"},
	{name: "cut-in-seek-table", make: cut(5, 20), want: "the file ends inside it"},

	// One flipped bit.
	{name: "flipped-manifest", make: flip(0, 100), want: `read member "spikebox.json": it is damaged`},
	{name: "flipped-header", make: flip(2, 90), want: `member "snapshots/2026-01-02T03:04:00.000000000Z/proc/net/netstat" is lost`},
	{name: "flipped-text", make: flip(2, 144), want: `/proc/net/netstat": it is damaged`},
	{name: "flipped-noise", make: flip(3, 500), want: `read member "conntrack.txt": it is damaged`},
	{name: "flipped-sums", make: flip(4, 100), want: "read SHA256SUMS: it is damaged, and vouches only for what it matches"},
	{name: "flipped-seek-table", make: flip(5, 12), want: "the seek table is of no use"},

	// The seek table says something else than the data.
	{name: "table-hides-frame", make: lie(func(f []frame) { f[1].raw = 0 }), want: "its content is not as long as the seek table says"},
	{name: "table-too-long", make: lie(func(f []frame) { f[2].raw += 512 }), want: "its content is not as long as the seek table says"},
	{name: "table-beyond-limits", make: lie(func(f []frame) { f[4].raw = 4<<30 - 1 }), want: "bytes of content per byte of the file"},

	// Members that are refused. The rest is used.
	{name: "twice", make: with(tar.Header{Name: "h/vitals.csv"}, "again"), want: `refuse member "vitals.csv": the bundle has it twice`},
	{name: "absolute", make: with(tar.Header{Name: "/etc/passwd"}, "x"), want: `refuse member name "/etc/passwd": it is absolute`},
	{name: "dot-dot", make: with(tar.Header{Name: "h/../../x"}, "x"), want: "is no clean relative path"},
	{name: "backslash", make: with(tar.Header{Name: `h/..\x`}, "x"), want: "a control character, one that is not shown, or a backslash"},
	{name: "hidden-in-name", make: with(tar.Header{Name: "h/a\u202etxt.exe"}, "x"), want: `refuse member name "h/a\u202etxt.exe": it holds`},
	{name: "long-name", make: with(tar.Header{Name: "h/" + strings.Repeat("x/", 300)}, ""), want: "at most 512 are allowed"},
	{name: "other-folder", make: with(tar.Header{Name: "other/x"}, "x"), want: `it is outside of the bundle's folder "h"`},
	{name: "no-folder", make: with(tar.Header{Name: "h"}, "x"), want: `refuse member "h": it is in no folder`},
	{name: "symlink", make: with(tar.Header{Name: "h/x", Typeflag: tar.TypeSymlink, Linkname: "/etc/passwd"}, ""), want: `refuse member "h/x": it is a link`},
	{name: "hard-link", make: with(tar.Header{Name: "h/x", Typeflag: tar.TypeLink, Linkname: "/etc/passwd"}, ""), want: `refuse member "h/x": it is a link`},
	{name: "device", make: with(tar.Header{Name: "h/x", Typeflag: tar.TypeChar, Devmajor: 1}, ""), want: `refuse member "h/x": it is a device`},
	{name: "fifo", make: with(tar.Header{Name: "h/x", Typeflag: tar.TypeFifo}, ""), want: `refuse member "h/x": it is a device`},
	{name: "sparse", make: sparseFile, want: `refuse member "h/x": it is a sparse file`},
	{name: "global-header", make: with(tar.Header{Typeflag: tar.TypeXGlobalHeader, PAXRecords: map[string]string{"comment": "x"}}, ""),
		want: `it is of tar type 'g'`},
	{name: "folder", make: with(tar.Header{Name: "h/x/", Typeflag: tar.TypeDir}, "")},

	// Sizes and sums.
	{name: "size-lies", make: sizeLies, want: `read member "x": 1536 of its 99999 bytes are there`},
	{name: "sum-wrong", make: sums(func(s string) string { return "0123456789abcdef" + s[16:] }), want: `read member "spikebox.json" at offset 26: its SHA-256 sum`},
	{name: "sum-extra", make: sums(func(s string) string { return s + strings.Repeat("0", 64) + "  gone.txt\n" }), want: `member "gone.txt" is lost`},
	{name: "sum-missing", make: sums(func(s string) string { return s[:strings.Index(s, "\n")+1] }), want: `member "vitals.csv" has no sum`},
	{name: "sum-no-form", make: sums(func(s string) string { return s + "hello\n" }), want: "line 3: it is no sum and name"},

	// The manifest.
	{name: "manifest-missing", make: func(t *testing.T) []byte { return pack(t, archive()[1:]) }, want: "read manifest: the bundle has none that is whole"},
	{name: "manifest-no-json", make: manifest("format: 1"), want: "read manifest: invalid character"},
	{name: "manifest-without-format", make: manifest(`{"name": "h"}`), want: `it lacks "format"`},
	{name: "manifest-format-0", make: manifest(`{"format": 0}`), want: "there is no format 0"},
	{name: "manifest-format-2", make: manifest(`{"format": 2, "name": ["of another type"]}`), want: "the bundle has format 2 and this program reads formats up to 1"},
	{name: "manifest-unknown-field", make: manifest(`{"format": 1, "name": "h", "future": {}}`)},

	// Limits.
	{name: "bomb", make: func(t *testing.T) []byte {
		return pack(t, append(archive(), entry{tar.Header{Name: "h/zeros"}, string(make([]byte, 128<<20))}))
	}, want: "it has more than 1000 bytes of content per byte of the file"},
	{name: "manifest-of-9-mib", make: manifest(`{"format": 1, "name": "` + strings.Repeat("x", 9<<20) + `"}`), want: "it has more than 2097152 bytes in the manifest"},
	{name: "limit-total", make: func(t *testing.T) []byte { return pack(t, archive()) }, lim: Limits{MaxTotal: 2000}, want: "it has more than 2000 bytes of content"},
	{name: "limit-member", make: func(t *testing.T) []byte { return pack(t, archive()) }, lim: Limits{MaxMember: 3}, want: `it has more than 3 bytes in member "h/spikebox.json"`},
	{name: "limit-members", make: func(t *testing.T) []byte { return pack(t, archive()) }, lim: Limits{MaxMembers: 1}, want: "it has more than 1 members"},
}

// entry is a member of a hand-made archive.
type entry struct {
	head tar.Header
	data string
}

// archive is the least bundle. Its sums are made by tarOf.
func archive() []entry {
	return []entry{
		{tar.Header{Name: "h/" + ManifestName}, `{"format": 1, "name": "h"}`},
		{tar.Header{Name: "h/vitals.csv"}, "time\n"},
	}
}

// sumLines are the sums of all regular files in entries.
func sumLines(entries []entry) (lines string) {
	for _, e := range entries {
		if e.head.Typeflag == 0 {
			lines += fmt.Sprintf("%x  %s\n", sha256.Sum256([]byte(e.data)), strings.TrimPrefix(e.head.Name, "h/"))
		}
	}
	return lines
}

// tarOf is the archive of entries, and of their sums if they have none.
func tarOf(t *testing.T, entries []entry) []byte {
	t.Helper()
	if last := entries[len(entries)-1]; last.head.Name != "h/"+SumsName {
		entries = append(entries, entry{tar.Header{Name: "h/" + SumsName}, sumLines(entries[:min(2, len(entries))])})
	}
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	for _, e := range entries {
		if e.head.Typeflag != tar.TypeXGlobalHeader { // which has nothing but its records
			e.head.Size, e.head.Mode = int64(len(e.data)), 0o644
		}
		if err := w.WriteHeader(&e.head); err != nil {
			t.Fatal(err)
		}
		if _, err := w.Write([]byte(e.data)); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// oneFrame is an encoder for small things.
var oneFrame = sync.OnceValue(func() *zstd.Encoder {
	enc, err := zstd.NewWriter(nil, zstd.WithEncoderConcurrency(1), zstd.WithWindowSize(64<<10), zstd.WithLowerEncoderMem(true))
	if err != nil {
		panic(err)
	}
	return enc
})

// frameOf is data in one zstd frame.
func frameOf(data []byte) []byte { return oneFrame().EncodeAll(data, nil) }

func pack(t *testing.T, entries []entry) []byte { return frameOf(tarOf(t, entries)) }

func literal(s string) func(*testing.T) []byte { return func(*testing.T) []byte { return []byte(s) } }

// with adds a member to the least bundle, one without a sum.
func with(head tar.Header, data string) func(*testing.T) []byte {
	return func(t *testing.T) []byte { return pack(t, append(archive(), entry{head, data})) }
}

// inGood is the offset in the file of byte n of frame k of the good bundle,
// where the seek table counts as the frame behind the last.
func inGood(t *testing.T, k, n int) (b []byte, off int64) {
	b = bundleBytes(t, smallItems())
	frames := openBytes(t, b).frames
	if k == len(frames) {
		return b, fileEnd(frames) + int64(n)
	}
	return b, frames[k].off + int64(n)
}

func cut(k, n int) func(*testing.T) []byte {
	return func(t *testing.T) []byte {
		b, off := inGood(t, k, n)
		return b[:off]
	}
}

func flip(k, n int) func(*testing.T) []byte {
	return func(t *testing.T) []byte {
		b, off := inGood(t, k, n)
		b[off] ^= 0x04
		return b
	}
}

// lie changes the seek table of the good bundle.
func lie(change func([]frame)) func(*testing.T) []byte {
	return func(t *testing.T) []byte {
		b := bundleBytes(t, smallItems())
		frames := openBytes(t, b).frames
		end := fileEnd(frames)
		change(frames)
		table, err := appendSeekTable(b[:end:end], frames)
		if err != nil {
			t.Fatal(err)
		}
		return table
	}
}

// sizeLies has a last header that announces more than there is.
func sizeLies(t *testing.T) []byte {
	b := tarOf(t, append(archive(), entry{tar.Header{Name: "h/x"}, "x"}, entry{tar.Header{Name: "h/" + SumsName}, sumLines(archive())}))
	head := b[4*tarBlock : 5*tarBlock]
	copy(head[124:], fmt.Sprintf("%011o", 99999))
	fixSum(head)
	return frameOf(b[:8*tarBlock])
}

// fixSum sets the checksum of a tar header.
func fixSum(head []byte) {
	copy(head[148:], "        ")
	var sum int
	for _, c := range head {
		sum += int(c)
	}
	copy(head[148:], fmt.Sprintf("%06o\x00 ", sum))
}

// sparseFile has a file with holes in the form of GNU tar's pax 1.0.
func sparseFile(t *testing.T) []byte {
	records := "22 GNU.sparse.major=1\n22 GNU.sparse.minor=0\n23 GNU.sparse.name=h/x\n31 GNU.sparse.realsize=1000000\n"
	a := append(archive(), entry{tar.Header{Name: "h/pax"}, records}, entry{tar.Header{Name: "h/x"}, "1\n0\n0\n" + string(zeros[6:tarBlock])})
	b := tarOf(t, append(a, entry{tar.Header{Name: "h/" + SumsName}, sumLines(archive())}))
	head := b[4*tarBlock : 5*tarBlock]
	head[156] = tar.TypeXHeader
	fixSum(head)
	return frameOf(b)
}

// sums changes SHA256SUMS.
func sums(change func(string) string) func(*testing.T) []byte {
	return func(t *testing.T) []byte {
		return pack(t, append(archive(), entry{tar.Header{Name: "h/" + SumsName}, change(sumLines(archive()))}))
	}
}

func manifest(data string) func(*testing.T) []byte {
	return func(t *testing.T) []byte {
		a := archive()
		a[0].data = data
		return pack(t, a)
	}
}

func TestVectors(t *testing.T) {
	for _, v := range vectors {
		t.Run(v.name, func(t *testing.T) {
			base := filepath.Join("testdata", v.name)
			if *update {
				writeFile(t, base+Ext, v.make(t))
			}
			r, err := openExact(base+Ext, v.lim)
			got, found := describe(t, r, err)
			if *update {
				writeFile(t, base+".txt", []byte(got))
			}
			want, rerr := os.ReadFile(base + ".txt")
			if rerr != nil {
				t.Fatal(rerr)
			}
			if diff := cmp.Diff(string(want), got); diff != "" {
				t.Error(diff)
			}
			if v.want == "" && found != "" || !strings.Contains(found, v.want) {
				t.Errorf("it found %q, want %q", found, v.want)
			}
			if b, err := os.ReadFile(base + Ext); err != nil || IsBundle(b[:min(len(b), SniffLen)]) != v.sniffs() {
				t.Errorf("IsBundle: %v, error %v", !v.sniffs(), err)
			}
			if v.is != nil && !errors.Is(err, v.is) || v.is == nil && errors.Is(err, ErrNotBundle) {
				t.Errorf("error %v, want %v", err, v.is)
			}
		})
	}
}

// openExact opens a file that is what the recorder writes; other forms are for forms_test.go.
func openExact(path string, lim Limits) (*Reader, error) {
	b, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	r, err := NewReader(bytes.NewReader(b), int64(len(b)), lim)
	if err != nil {
		err = fmt.Errorf("open bundle %s: %w", path, err)
	}
	return r, err
}

// sniffs says whether its beginning is enough to see that it is a tar archive.
func (v vector) sniffs() bool {
	return v.is == nil && v.name != "window-of-2-gib" || v.name == "plain-tar"
}

// describe tells what a reader makes of a bundle, and apart what is wrong with it.
func describe(t *testing.T, r *Reader, err error) (text, faults string) {
	t.Helper()
	if err != nil {
		return "error " + err.Error() + "\n", err.Error()
	}
	defer r.Close()
	var b strings.Builder
	if err := Dump(&b, r); err != nil {
		t.Fatal(err)
	}
	errs := Check(r)
	for _, err := range errs[len(r.Damage()):] {
		fmt.Fprintln(&b, "check", err)
	}
	for _, err := range errs {
		faults += err.Error() + "\n"
	}
	return b.String(), faults
}

func writeFile(t *testing.T, path string, data []byte) {
	t.Helper()
	if err := os.WriteFile(path, data, 0o644); err != nil {
		t.Fatal(err)
	}
}

// A file of a million members is refused before it costs much memory.
func TestMillionMembers(t *testing.T) {
	var b bytes.Buffer
	enc, err := zstd.NewWriter(&b, zstd.WithEncoderConcurrency(1))
	if err != nil {
		t.Fatal(err)
	}
	enc.Write(tarOf(t, archive())[:4*tarBlock])
	head, err := tarHeader("h/0000000000", 0, testTime)
	if err != nil {
		t.Fatal(err)
	}
	for n := range 1_000_000 {
		copy(head, fmt.Sprintf("h/%010d", n))
		fixSum(head)
		enc.Write(head)
	}
	if err := enc.Close(); err != nil {
		t.Fatal(err)
	}
	var limit *LimitError
	_, err = NewReader(bytes.NewReader(b.Bytes()), int64(b.Len()), Limits{})
	if !errors.As(err, &limit) || limit.What != "members" {
		t.Errorf("error %v", err)
	}
}

// The list of damage has an end.
func TestDamageIsBounded(t *testing.T) {
	entries := archive()
	for range 3 * maxDamage {
		entries = append(entries, entry{head: tar.Header{Name: "h/vitals.csv"}})
	}
	r := openBytes(t, pack(t, entries))
	if n := len(r.Damage()); n != maxDamage+1 {
		t.Errorf("%d faults are listed", n)
	}
}
