package format

import (
	"archive/tar"
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/klauspost/compress/zstd"
)

// contents are the right contents of a bundle's members, by name.
func contents(t *testing.T, b []byte) map[string][]byte {
	r := openBytes(t, b)
	all := map[string][]byte{}
	for _, m := range r.Members() {
		all[m.Name] = readMember(t, r, m.Name)
	}
	return all
}

// wantHonest fails when a member that passes for whole is not, and returns the
// number of whole ones. A member that is not whole must not end cleanly either.
func wantHonest(t *testing.T, r *Reader, right map[string][]byte) (whole int) {
	t.Helper()
	err := r.Walk(func(m Member, content io.Reader) error {
		got, err := io.ReadAll(content)
		switch {
		case m.Complete && (err != nil || !bytes.Equal(got, right[m.Name])):
			t.Errorf("member %q passes for whole: %d bytes, error %v", m.Name, len(got), err)
		case !m.Complete && err == nil:
			t.Errorf("member %q is not whole, but it ends without an error", m.Name)
		case m.Complete:
			whole++
		}
		return nil
	})
	if err != nil {
		t.Error(err)
	}
	return whole
}

// A bundle is cut at every byte: what lies before the cut has to be there.
func TestTruncatedAnywhere(t *testing.T) {
	b := bundleBytes(t, smallItems())
	right := contents(t, b)
	frames := openBytes(t, b).frames
	members := openBytes(t, b).Members()
	for n := range b {
		r, err := NewReader(bytes.NewReader(b[:n]), int64(n), Limits{})
		if int64(n) < frames[0].comp {
			if err == nil && r.Manifest.Format == 0 {
				t.Errorf("cut at %d: opened without a manifest", n)
			}
			if n >= 4 && err != nil && !errors.Is(err, ErrTruncated) {
				t.Errorf("cut at %d: %v", n, err)
			}
			continue
		}
		if err != nil {
			t.Errorf("cut at %d: %v", n, err)
			continue
		}
		if r.Manifest.Host.Name != "web1" {
			t.Errorf("cut at %d: manifest %+v", n, r.Manifest)
		}
		whole, want := wantHonest(t, r, right), wholeFrames(frames, members, int64(n))
		if whole < want {
			t.Errorf("cut at %d: %d members are whole, want at least %d", n, whole, want)
		}
		// The seek table alone may be missing without harm, but not in part.
		last := frames[len(frames)-1]
		if end := last.off + last.comp; len(r.Damage()) == 0 && int64(n) != end {
			t.Errorf("cut at %d: no damage is reported", n)
		}
	}
}

// wholeFrames counts the members that lie in the frames before byte n of the file.
func wholeFrames(frames []frame, members []Member, n int64) (count int) {
	var end int64
	for _, f := range frames {
		if f.off+f.comp <= n {
			end = f.end()
		}
	}
	for _, m := range members {
		if m.end() <= end {
			count++
		}
	}
	return count
}

// Bits are flipped all over the file, some in every byte and in the end at every
// place in a byte: no wrong content may pass for right, only the frame that
// was hit may be lost, and Check has to notice.
func TestFlippedAnywhere(t *testing.T) {
	good := bundleBytes(t, smallItems())
	right := contents(t, good)
	frames := openBytes(t, good).frames
	members := openBytes(t, good).Members()
	archive, _ := zstdCat(good)
	step := 3
	if testing.Short() {
		step = 9
	}
	for bit := 0; bit < 8*len(good); bit += step {
		b, n := bytes.Clone(good), int64(bit/8)
		b[n] ^= 1 << (bit % 8)
		r, err := NewReader(bytes.NewReader(b), int64(len(b)), Limits{})
		if err != nil {
			if n >= 4 { // in the magic of the first frame it may be anything
				t.Errorf("bit %d of byte %d flipped: %v", bit%8, n, err)
			}
			continue
		}
		whole := wantHonest(t, r, right)
		if want := len(members) - inFrame(frames, members, n); whole < want {
			t.Errorf("bit %d of byte %d flipped: %d members are whole, want at least %d", bit%8, n, whole, want)
		}
		if len(Check(r)) > 0 {
			continue
		}
		// Some bits mean nothing, or the same in another way.
		same, err := zstdCat(b)
		if err != nil || !bytes.Equal(same, archive) || !slices.Equal(r.frames, frames) {
			t.Errorf("bit %d of byte %d flipped: Check finds nothing", bit%8, n)
		}
	}
}

// zstdCat is the archive in b without this package's help.
func zstdCat(b []byte) ([]byte, error) {
	dec, err := zstd.NewReader(bytes.NewReader(b))
	if err != nil {
		return nil, err
	}
	defer dec.Close()
	return io.ReadAll(dec)
}

// inFrame counts the members that lie in the frame that holds byte n of the file.
func inFrame(frames []frame, members []Member, n int64) (count int) {
	for _, f := range frames {
		for _, m := range members {
			if f.off <= n && n < f.off+f.comp && m.end() > f.pos && m.pos < f.end() {
				count++
			}
		}
	}
	return count
}

// A flipped bit inside of a large member is found when it is read, and costs
// that member alone.
func TestFlippedInLargeMember(t *testing.T) {
	items := append([]item{{name: "packets.pcapng", data: noise(5*bulkFrame, 9)}}, smallItems()...)
	b := bundleBytes(t, items)
	b[2*bulkFrame+bulkFrame/2] ^= 0x10
	r := openBytes(t, b)
	errs := Check(r)
	if len(errs) != 1 {
		t.Fatalf("damage: %v", errs)
	}
	t.Log(errs[0])
	f, err := r.Open("packets.pcapng")
	if err != nil {
		t.Fatal(err)
	}
	got, err := io.ReadAll(f)
	if err == nil || len(got) < 2*bulkFrame-4*tarBlock || !bytes.Equal(got, items[0].data[:len(got)]) && len(got) <= 2*bulkFrame-tarBlock {
		t.Errorf("%d bytes, error %v", len(got), err)
	}
	for _, it := range items[1:] {
		if got := readMember(t, r, it.name); !bytes.Equal(got, it.data) {
			t.Errorf("member %q differs", it.name)
		}
	}
}

// The same for its last frame, the end of which is padding that nobody reads.
func TestFlippedInLastChecksum(t *testing.T) {
	b := bundleBytes(t, []item{{name: "packets.pcapng", data: noise(2*bulkFrame+99, 10)}, {name: "kmsg.txt"}})
	frames := openBytes(t, b).frames
	b[frames[3].off+frames[3].comp-1] ^= 1
	r := openBytes(t, b)
	f, err := r.Open("packets.pcapng")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.Copy(io.Discard, f); err == nil {
		t.Error("reading the member to its end found nothing")
	}
}

// A cut inside of the packets leaves all that came before, and their beginning.
func TestTruncatedInPackets(t *testing.T) {
	items := largeItems(5, 9<<20)
	b := bundleBytes(t, items)
	frames := openBytes(t, b).frames
	packets := frames[len(frames)-2]
	b = b[:packets.off+packets.comp/2]
	r := openBytes(t, b)
	for _, it := range items[:len(items)-1] {
		if got := readMember(t, r, it.name); !bytes.Equal(got, it.data) {
			t.Errorf("member %q differs", it.name)
		}
	}
	f, err := r.Open("packets.pcapng")
	if err != nil {
		t.Fatal(err)
	}
	got, err := io.ReadAll(f)
	if !errors.Is(err, ErrTruncated) && !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("error %v", err)
	}
	if data := items[len(items)-1].data; len(got) < 2*bulkFrame-tarBlock || !bytes.Equal(got, data[:len(got)]) {
		t.Errorf("%d bytes of packets", len(got))
	}
	t.Log(r.Damage())
}

// blockItems share one frame of several zstd blocks, and do not compress.
func blockItems() (items []item) {
	for i := range 8 {
		items = append(items, item{name: fmt.Sprintf("noise%d", i), data: noise(100_000+i*4096, int64(20+i))})
	}
	return items
}

// Inside of a frame a cut costs only what lies behind it.
func TestTruncatedInSharedFrame(t *testing.T) {
	b := bundleBytes(t, blockItems())
	right := contents(t, b)
	most := 0
	for n := len(b) - 1; n > 1000; n -= 4999 {
		whole := wantHonest(t, openBytes(t, b[:n]), right)
		// A block that is not whole costs 128 KiB, and so one member or two.
		if want := n/120_000 - 1; whole < want {
			t.Errorf("cut at %d: %d members are whole, want %d", n, whole, want)
		}
		most = max(most, whole)
	}
	if most < 8 {
		t.Errorf("at most %d members are whole", most)
	}
}

// A flipped bit in a frame of several blocks costs one member, whether it hits the
// content or the header.
func TestFlippedInSharedFrame(t *testing.T) {
	entries := archive()
	for i := range 5 {
		entries = append(entries, entry{tar.Header{Name: fmt.Sprintf("h/noise%d", i)}, string(noise(100_000+i*4096, int64(20+i)))})
	}
	entries = append(entries, entry{tar.Header{Name: "h/" + SumsName}, sumLines(entries)})
	good := tarOf(t, entries)
	sound := frameOf(good)
	right := contents(t, sound)
	for _, m := range openBytes(t, sound).Members()[1 : len(entries)-1] {
		for _, at := range []int64{m.pos - tarBlock + 2, m.pos + 2} {
			bad := bytes.Clone(good)
			bad[at] ^= 0x10
			b := frameOf(bad)
			copy(b[len(b)-4:], sound[len(sound)-4:]) // the checksum of what was there
			r := openBytes(t, b)
			// SHA256SUMS itself has nothing that vouches for it.
			if whole := wantHonest(t, r, right); whole != len(entries)-2 {
				t.Errorf("bit flipped at %d for %q: %d members are whole: %v", at, m.Name, whole, r.Damage())
			}
			if text := fmt.Sprint(r.Damage()); !strings.Contains(text, fmt.Sprintf("member %q", m.Name)) {
				t.Errorf("bit flipped at %d for %q: damage %s", at, m.Name, text)
			}
		}
	}
}

// badDisk fails for a stretch of the file.
type badDisk struct {
	*bytes.Reader
	from, to int64
}

func (d *badDisk) ReadAt(p []byte, off int64) (int, error) {
	if off < d.to && off+int64(len(p)) > d.from {
		return 0, syscall.EIO
	}
	return d.Reader.ReadAt(p, off)
}

// A disk that cannot read a sector costs what lies there, and the error says so.
func TestDiskFails(t *testing.T) {
	items := append(smallItems(), item{name: "packets.pcapng", data: noise(3*bulkFrame, 14)}, item{name: "z.txt", data: []byte("z\n")})
	b := bundleBytes(t, items)
	right := contents(t, b)
	src := &badDisk{bytes.NewReader(b), 2 * bulkFrame, 2*bulkFrame + 512}
	r, err := NewReader(src, int64(len(b)), Limits{})
	if err != nil {
		t.Fatal(err)
	}
	errs := Check(r)
	if len(errs) != 1 || !errors.Is(errs[0], syscall.EIO) || !strings.Contains(errs[0].Error(), `read member "packets.pcapng" at offset`) {
		t.Errorf("errors: %v", errs)
	}
	for name, data := range right {
		if name != "packets.pcapng" && !bytes.Equal(readMember(t, r, name), data) {
			t.Errorf("member %q differs", name)
		}
	}
	src.from, src.to = 0, 1
	if _, err := NewReader(src, int64(len(b)), Limits{}); !errors.Is(err, syscall.EIO) || errors.Is(err, ErrNotBundle) {
		t.Errorf("first sector: %v", err)
	}
}

// Looking for headers behind damage must not decode the archive again and again:
// here each frame begins with pax headers that go on to the archive's end.
func TestSearchIsBounded(t *testing.T) {
	record := "1048576 comment=" + strings.Repeat("x", 1<<20-17) + "\n"
	var pax bytes.Buffer
	w := tar.NewWriter(&pax)
	if err := w.WriteHeader(&tar.Header{Typeflag: tar.TypeReg, Name: "h/x", Size: 1 << 20}); err != nil {
		t.Fatal(err)
	}
	fmt.Fprint(w, record)
	head := pax.Bytes()
	head[156] = tar.TypeXHeader
	fixSum(head[:tarBlock])
	one := frameOf(head)
	const frames = 300
	b := append(bytes.Repeat(one, frames), frameOf([]byte(strings.Repeat("junk", tarBlock/4)))...)
	size := int64(frames*len(head) + tarBlock)
	r := &Reader{src: bytes.NewReader(b), size: int64(len(b)), lim: Limits{MaxRatio: 1 << 40}.orDefault()}
	s, err := r.scan()
	if err != nil {
		t.Fatal(err)
	}
	if most := (searchBudget+1)*size + ratioFloor; s.c.decoded > most || s.c.decoded < 2*size {
		t.Errorf("%d bytes decoded for an archive of %d", s.c.decoded, size)
	}
}

func TestClosed(t *testing.T) {
	r := openBytes(t, bundleBytes(t, smallItems()))
	f, err := r.Open("kmsg.txt")
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(f.Close(), f.Close(), r.Close()); err != nil {
		t.Error(err)
	}
	if _, err := f.Read(make([]byte, 1)); !errors.Is(err, os.ErrClosed) {
		t.Errorf("read after close: %v", err)
	}
	if _, err := r.Open("missing"); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("open a missing member: %v", err)
	}
	if _, err := Open(filepath.Join(t.TempDir(), "missing"), Limits{}); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("open a missing bundle: %v", err)
	}
	if _, err := Open(t.TempDir(), Limits{}); !errors.Is(err, ErrNotBundle) {
		t.Errorf("open a folder: %v", err)
	}
}
