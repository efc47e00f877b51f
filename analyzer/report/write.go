package report

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/spikebox/spikebox/format/plain"
)

// JSON writes a document for programs and people alike: indented, and with < and >
// as they are, since filters are full of them.
func JSON(w io.Writer, v any) error {
	enc := json.NewEncoder(w)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	return enc.Encode(v)
}

// Write writes report.txt and findings.json into a folder that it makes where there is none, each under its final name only when whole.
func Write(dir string, doc *Document) error {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return fmt.Errorf("make report folder: %w", err)
	}
	var text, findings bytes.Buffer
	if err := Text(&text, doc, Style{Width: 100}); err != nil {
		return err
	}
	if err := JSON(plain.NewWriter(&findings), doc); err != nil {
		return fmt.Errorf("encode findings: %w", err)
	}
	for name, content := range map[string][]byte{"report.txt": text.Bytes(), "findings.json": findings.Bytes()} {
		if err := replaceFile(filepath.Join(dir, name), content); err != nil {
			return err
		}
	}
	return nil
}

// replaceFile writes a file beside its place and moves it there.
func replaceFile(path string, content []byte) error {
	f, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+".*")
	if err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	_, err = f.Write(content)
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	if err == nil {
		err = os.Rename(f.Name(), path)
	}
	if err != nil {
		os.Remove(f.Name())
		return fmt.Errorf("write %s: %w", path, err)
	}
	return nil
}
