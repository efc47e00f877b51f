package format

import (
	"context"
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
// name, and the first result says so. A file gets its name when it is written to its end:
// when ctx is done, nothing half is left. The error is ctx's, or one of writing.
func Extract(ctx context.Context, r *Reader, dir string, want func(name string) bool) (damaged []error, err error) {
	root, err := openFolder(dir, r.Folder())
	if err != nil {
		return nil, fmt.Errorf("extract bundle: %w", err)
	}
	defer root.Close()
	err = r.Walk(func(m Member, content io.Reader) error {
		// Also of what is not wanted: to walk past it may take a minute.
		if want != nil && !want(m.Name) {
			return ctx.Err()
		}
		bad, err := extract(ctx, root, localName(m.Name, runtime.GOOS), &stopReader{ctx, content})
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

// partialFile is what a file is called while it is written. Only a kill leaves one.
const partialFile = ".extract.partial"

// damagedExt is appended to the names of files that are not whole, so that no other
// program takes them for what they were.
const damagedExt = ".damaged"

// extract writes one member; bad is what is wrong with its content.
func extract(ctx context.Context, root *os.Root, name string, content io.Reader) (bad, err error) {
	if err := root.MkdirAll(path.Dir(name), 0o700); err != nil {
		return nil, err
	}
	if err := free(root, name); err != nil { // before gigabytes are written for nothing
		return nil, err
	}
	temporary := path.Join(path.Dir(name), partialFile)
	f, err := root.OpenFile(temporary, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if errors.Is(err, os.ErrExist) { // to remove it would have another's half file get the name of a whole one
		return nil, fmt.Errorf("write %s: %w: another extraction writes it, or one that was killed has left it: then remove it", temporary, os.ErrExist)
	}
	if err != nil {
		return nil, err
	}
	// Read and write errors have to be told apart: the first are damage, of which
	// there may be more, and the second end the extraction, as an interrupt does.
	from := &errReader{r: content}
	_, err = io.Copy(f, from)
	if cerr := f.Close(); err == nil || from.err != nil {
		err = cerr
	}
	if err == nil {
		err = ctx.Err()
	}
	if err == nil && from.err != nil {
		name += damagedExt
		err = free(root, name)
	}
	if err == nil {
		err = root.Rename(temporary, name)
	}
	if err != nil {
		return nil, errors.Join(err, root.Remove(temporary))
	}
	return from.err, nil
}

// free refuses a name that is taken: a rename would overwrite, and a link, which would
// not, is not portable.
func free(root *os.Root, name string) error {
	if _, err := root.Lstat(name); err == nil {
		return fmt.Errorf("write %s: %w", name, os.ErrExist)
	}
	return nil
}

// stopReader ends with ctx's error when ctx is done.
type stopReader struct {
	ctx context.Context
	r   io.Reader
}

func (s *stopReader) Read(p []byte) (int, error) {
	if err := s.ctx.Err(); err != nil {
		return 0, err
	}
	return s.r.Read(p)
}

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
