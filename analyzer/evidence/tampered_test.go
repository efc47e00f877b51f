package evidence

import (
	"archive/tar"
	"bytes"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/klauspost/compress/zstd"
)

// A bundle that somebody unpacked, edited and packed again is read, and what was edited
// is said; one without usable packets keeps its other evidence.
func TestEditedBundle(t *testing.T) {
	for _, c := range []struct {
		member, content, says string
	}{
		{"kmsg.txt", "1795249774000000000 4 nf_conntrack: table full, dropping packet\n", `its SHA-256 sum is not the one in SHA256SUMS`},
		{"packets.pcapng", "", "packets.pcapng"},
	} {
		e, err := Read([]string{edited(t, c.member, c.content)}, Options{})
		if err != nil {
			t.Fatalf("%s edited: %v", c.member, err)
		}
		var said strings.Builder
		for _, err := range e.Damage {
			said.WriteString(err.Error() + "\n")
		}
		for _, p := range e.Partial.List {
			said.WriteString(p.Error() + "\n")
		}
		if !strings.Contains(said.String(), c.says) || len(e.Sockets) == 0 {
			t.Errorf("%s edited: it says %q with %d sockets; want %q, and the other evidence", c.member, said.String(), len(e.Sockets), c.says)
		}
	}
}

// edited packs the bundle of a real run again with other content of one member.
func edited(t *testing.T, member, content string) string {
	t.Helper()
	in, err := os.Open("../../testdata/bundles/v1/listen-overflow.spike.tar.zst")
	if err != nil {
		t.Fatal(err)
	}
	defer in.Close()
	dec, err := zstd.NewReader(in)
	if err != nil {
		t.Fatal(err)
	}
	defer dec.Close()
	var out bytes.Buffer
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
		text, rerr := io.ReadAll(r)
		if err != nil || rerr != nil {
			t.Fatal(err, rerr)
		}
		if strings.HasSuffix(h.Name, "/"+member) {
			text = []byte(content)
		}
		h.Size = int64(len(text))
		if err := w.WriteHeader(h); err != nil {
			t.Fatal(err)
		}
		if _, err := w.Write(text); err != nil {
			t.Fatal(err)
		}
	}
	if w.Close() != nil || enc.Close() != nil {
		t.Fatal("pack the bundle again")
	}
	path := filepath.Join(t.TempDir(), "edited.spike.tar.zst")
	if err := os.WriteFile(path, out.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}
