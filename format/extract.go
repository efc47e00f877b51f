package format

import (
	"fmt"
	"io"
	"os"
	"path"
	"runtime"
	"strings"
)

// Extract writes the members of r into the folder dir, which it creates. It
// overwrites nothing, and nothing can leave dir, by a link in it neither. Of a
// member that is not whole, what can be read is kept with ".damaged" appended
// to its name, and the first result says so. The error is one of writing.
func Extract(r *Reader, dir string) (damaged []error, err error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("extract bundle: %w", err)
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, fmt.Errorf("extract bundle: %w", err)
	}
	defer root.Close()
	err = r.Walk(func(m Member, content io.Reader) error {
		bad, err := extract(root, localName(m.Name, runtime.GOOS), content)
		if bad != nil {
			damaged = append(damaged, bad)
		}
		if err != nil {
			return fmt.Errorf("extract member %q: %w", m.Name, err)
		}
		return nil
	})
	return damaged, err
}

// extract writes one member; bad is what is wrong with its content.
func extract(root *os.Root, name string, content io.Reader) (bad, err error) {
	if err := root.MkdirAll(path.Dir(name), 0o700); err != nil {
		return nil, err
	}
	f, err := root.OpenFile(name, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, err
	}
	// Read and write errors have to be told apart: the first are damage, of which
	// there may be more, and the second end the extraction.
	from := &errReader{r: content}
	_, err = io.Copy(f, from)
	if cerr := f.Close(); err == nil || from.err != nil {
		err = cerr
	}
	if from.err == nil || err != nil {
		return nil, err
	}
	// A link and not a rename, which would overwrite, is not portable: ask first.
	if _, err := root.Lstat(name + damagedExt); err == nil {
		return from.err, fmt.Errorf("rename to %s: %w", name+damagedExt, os.ErrExist)
	}
	return from.err, root.Rename(name, name+damagedExt)
}

// damagedExt is appended to the names of files that are not whole, so that no
// other program takes them for what they were.
const damagedExt = ".damaged"

// errReader remembers the error of r.
type errReader struct {
	r   io.Reader
	err error
}

func (e *errReader) Read(p []byte) (int, error) {
	n, err := e.r.Read(p)
	if err != nil && err != io.EOF {
		e.err = err
	}
	return n, err
}

// localName is the name of a member's file. Windows has no file names with some
// characters, the colons of snapshot times above all; they become "_", as with
// bsdtar (SPEC.md, "Unpacking").
func localName(name, goos string) string {
	if goos != "windows" {
		return name
	}
	return strings.Map(func(r rune) rune {
		if strings.ContainsRune(`<>:"|?*`, r) {
			return '_'
		}
		return r
	}, name)
}
