package format

import (
	"bytes"
	"errors"
	"io"
	"slices"
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

// Every bit is flipped: no wrong content may pass for right, only the frame that
// was hit may be lost, and Check has to notice.
func TestFlippedAnywhere(t *testing.T) {
	good := bundleBytes(t, smallItems())
	right := contents(t, good)
	frames := openBytes(t, good).frames
	members := openBytes(t, good).Members()
	archive, _ := zstdCat(good)
	step := 1
	if testing.Short() { // one bit in each byte, another in the next
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
