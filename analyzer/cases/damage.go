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
func (d Damage) apply(path string) error {
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
	// Without concurrency: only then is the buffer nobody else's between two writes.
	enc, err := zstd.NewWriter(&out, zstd.WithEncoderConcurrency(1))
	if err != nil {
		return err
	}
	w := tar.NewWriter(enc)
	cut, err := d.copy(w, tar.NewReader(dec))
	switch {
	case err != nil:
	case cut:
		// What was flushed can be decoded, and nothing is behind it: as of a copy that was
		// interrupted, whose last frame is whole up to some block.
		err = enc.Flush()
	case d.Cut != "":
		err = fmt.Errorf("cut member %q: the bundle has none", d.Cut)
	default:
		err = w.Close()
	}
	text := bytes.Clone(out.Bytes()) // the encoder's end is not part of what was cut
	if err = errors.Join(err, enc.Close()); err != nil {
		return err
	}
	if !cut {
		text = out.Bytes()
	}
	return os.WriteFile(path, text, 0o600)
}

// copy copies the members, and says whether it ended in the middle of one.
func (d Damage) copy(w *tar.Writer, r *tar.Reader) (cut bool, err error) {
	for {
		h, err := r.Next()
		if err == io.EOF {
			return false, nil
		}
		if err != nil {
			return false, err
		}
		text, err := io.ReadAll(r)
		if err != nil {
			return false, err
		}
		_, name, _ := strings.Cut(h.Name, "/")
		if name == format.SumsName && d.Edit != "" {
			// The sum is changed and not the member: nothing but the sum tells, then.
			i := bytes.Index(text, []byte("  "+d.Edit+"\n"))
			if i < 1 {
				return false, fmt.Errorf("edit member %q: the bundle has no sum of it", d.Edit)
			}
			text[i-1] = "10"[text[i-1]%2] // another hexadecimal digit than it was
		}
		if name == d.Cut {
			text = text[:len(text)*9/10]
		}
		if err := w.WriteHeader(h); err != nil {
			return false, err
		}
		if _, err := w.Write(text); err != nil || name == d.Cut {
			return true, err
		}
	}
}
