package cases

import (
	"archive/tar"
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/klauspost/compress/zstd"

	"github.com/spikebox/spikebox/format"
)

// Extra is a member to be added to a bundle, whatever its name.
type Extra struct {
	Name    string
	Content []byte
}

// Repack gives a bundle whose members, but for the sums, are what change makes of them,
// with others behind them. Its sums are right: what a stranger made is no damage. It is
// written by SPEC.md's "Tar" and not by package format, which refuses some names.
func Repack(bundle []byte, change func(name string, content []byte) []byte, extra ...Extra) ([]byte, error) {
	z, err := zstd.NewReader(bytes.NewReader(bundle))
	if err != nil {
		return nil, err
	}
	defer z.Close()
	var out, sums bytes.Buffer
	enc, err := zstd.NewWriter(&out)
	if err != nil {
		return nil, err
	}
	w, folder := tar.NewWriter(enc), ""
	add := func(name string, content []byte) error {
		fmt.Fprintf(&sums, "%x  %s\n", sha256.Sum256(content), name)
		// pax, as USTAR has no place for most of what a stranger may write
		err := w.WriteHeader(&tar.Header{Name: folder + "/" + name, Mode: 0o644, Size: int64(len(content)), Format: tar.FormatPAX})
		if err == nil {
			_, err = w.Write(content)
		}
		return err
	}
	for r := tar.NewReader(z); ; {
		h, err := r.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return nil, err
		}
		content, err := io.ReadAll(r)
		if err != nil {
			return nil, err
		}
		var name string
		if folder, name, _ = strings.Cut(h.Name, "/"); name == format.SumsName {
			continue
		}
		if err := add(name, change(name, content)); err != nil {
			return nil, err
		}
	}
	for _, e := range append(extra, Extra{format.SumsName, nil}) {
		if e.Name == format.SumsName {
			e.Content = bytes.Clone(sums.Bytes())
		}
		if err := add(e.Name, e.Content); err != nil {
			return nil, err
		}
	}
	err = errors.Join(w.Close(), enc.Close())
	return out.Bytes(), err
}
