package format

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"runtime"
	"strings"
)

// Extract writes the members of r that want asks for, all where it is nil, into the
// bundle's folder (Folder) below dir. It makes both, overwrites nothing, and nothing can
// leave the bundle's folder: not by a name, and not by a link that lies there already. Of
// a member that is not whole, what can be read is kept with ".damaged" appended to its
// name, and the first result says so. The error is one of writing.
func Extract(r *Reader, dir string, want func(name string) bool) (damaged []error, err error) {
	root, err := openFolder(dir, r.Folder())
	if err != nil {
		return nil, fmt.Errorf("extract bundle: %w", err)
	}
	defer root.Close()
	err = r.Walk(func(m Member, content io.Reader) error {
		if want != nil && !want(m.Name) {
			return nil
		}
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

// openFolder makes dir and the folder in it, and opens the second. The folder's name is a
// stranger's: what lies in dir under it may be a link to anywhere, and is not followed.
func openFolder(dir, folder string) (*os.Root, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	parent, err := os.OpenRoot(dir)
	if err != nil {
		return nil, err
	}
	defer parent.Close()
	folder = localName(folder, runtime.GOOS)
	if err := parent.Mkdir(folder, 0o700); err != nil && !errors.Is(err, os.ErrExist) {
		return nil, err
	}
	info, err := parent.Lstat(folder)
	if err == nil && !info.IsDir() {
		err = fmt.Errorf("use %s: it is in the way, and no folder", folder)
	}
	if err != nil {
		return nil, err
	}
	return parent.OpenRoot(folder)
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
