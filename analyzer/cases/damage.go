package cases

import (
	"archive/tar"
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/klauspost/compress/zstd"

	"github.com/spikebox/spikebox/format"
)

// Damage is what happens to a bundle after it was written.
type Damage struct {
	Cut  string `json:"cut"`  // a copy that ends before the end of this member
	Edit string `json:"edit"` // this member is not what SHA256SUMS says
}

// apply packs the bundle again, with its damage.
func (d Damage) apply(path string) (err error) {
	in, err := os.Open(path)
	if err != nil {
		return err
	}
	defer in.Close()
	dec, err := zstd.NewReader(in)
	if err != nil {
		return err
	}
	defer dec.Close()
	var out bytes.Buffer
	enc, err := zstd.NewWriter(&out)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, enc.Close()) }()
	w := tar.NewWriter(enc)
	for r := tar.NewReader(dec); ; {
		h, err := r.Next()
		if err == io.EOF {
			break
		}
		if err != nil {
			return err
		}
		text, err := io.ReadAll(r)
		if err != nil {
			return err
		}
		_, name, _ := strings.Cut(h.Name, "/")
		if name == format.SumsName && d.Edit != "" {
			// The sum is changed and not the member: nothing but the sum tells, then.
			i := bytes.Index(text, []byte("  "+d.Edit+"\n"))
			if i < 1 {
				return fmt.Errorf("edit member %q: the bundle has no sum of it", d.Edit)
			}
			text[i-1] = "10"[text[i-1]%2] // another hexadecimal digit than it was
		}
		if err := w.WriteHeader(h); err != nil {
			return err
		}
		if name == d.Cut {
			text = text[:len(text)*9/10]
		}
		if _, err := w.Write(text); err != nil {
			return err
		}
		if name == d.Cut {
			// What was flushed can be decoded, and nothing is behind it: as of a copy that was
			// interrupted, whose last frame is whole up to some block.
			if err := enc.Flush(); err != nil {
				return err
			}
			return os.WriteFile(path, out.Bytes(), 0o600)
		}
	}
	if d.Cut != "" {
		return fmt.Errorf("cut member %q: the bundle has none", d.Cut)
	}
	if err := errors.Join(w.Close(), enc.Close()); err != nil {
		return err
	}
	return os.WriteFile(path, out.Bytes(), 0o600)
}
