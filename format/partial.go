package format

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
)

// partialExt ends the temporary name of a bundle that is being written; it
// begins with a dot (SPEC.md, "Writing").
const partialExt = Ext + ".partial"

// partialName is the temporary file name of bundle name.
func partialName(name string) string { return "." + name + partialExt }

// createPartial makes a new file that Sweep leaves alone while it is open.
func createPartial(path string) (*os.File, error) {
	for {
		f, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_RDWR, 0o600)
		if err != nil {
			return nil, err
		}
		lock(f)
		// A Sweep may have removed it between the two calls.
		if sameFile(f, path) {
			return f, nil
		}
		f.Close()
	}
}

// sameFile reports whether path still names the open file f.
func sameFile(f *os.File, path string) bool {
	open, err := f.Stat()
	if err != nil {
		return false
	}
	named, err := os.Lstat(path)
	return err == nil && os.SameFile(open, named)
}

// truncatedExt is the end of the name under which an unfinished bundle is kept.
const truncatedExt = ".truncated" + Ext

// Swept is one unfinished bundle that a dead writer left.
type Swept struct {
	Partial string // its temporary name
	Kept    string // its name now; empty where nothing in it could be read, and it was removed
}

// Sweep looks for what dead writers left in dir, after a kill or a power cut. What can be
// read of it is an incident's evidence, the small and telling members first: it is kept
// as <name>.truncated.spike.tar.zst. The file of a live writer is locked and stays.
func Sweep(dir string) ([]Swept, error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, fmt.Errorf("sweep bundle folder: %w", err)
	}
	var all []Swept
	var errs []error
	for _, e := range entries {
		if ok, _ := filepath.Match(".*"+partialExt, e.Name()); !ok || !e.Type().IsRegular() {
			continue
		}
		kept, gone, err := keepDead(dir, e.Name())
		// The others are looked at all the same: each may be a gigabyte.
		if err != nil {
			errs = append(errs, fmt.Errorf("keep unfinished bundle: %w", err))
		}
		if gone {
			all = append(all, Swept{e.Name(), kept})
		}
	}
	return all, errors.Join(errs...)
}

// keepDead renames or removes the partial file unless a live writer holds it.
func keepDead(dir, name string) (kept string, gone bool, err error) {
	path := filepath.Join(dir, name)
	f, err := os.Open(path)
	if errors.Is(err, os.ErrNotExist) {
		return "", false, nil // committed or aborted meanwhile
	}
	if err != nil {
		return "", false, err
	}
	defer f.Close()
	if !tryLock(f) || !sameFile(f, path) {
		return "", false, nil
	}
	readable := false
	if info, err := f.Stat(); err == nil {
		_, err := NewReader(f, info.Size(), Limits{})
		readable = err == nil
	}
	// While the lock is held, so that nobody starts to write to it in between.
	if runtime.GOOS == "windows" { // renames and removes no open file
		f.Close()
	}
	if !readable {
		err = os.Remove(path)
		return "", err == nil, err
	}
	kept, err = freeName(dir, strings.TrimSuffix(strings.TrimPrefix(name, "."), partialExt))
	if err == nil {
		err = os.Rename(path, filepath.Join(dir, kept))
	}
	if err != nil {
		return "", false, err
	}
	return kept, true, syncDir(dir)
}

// freeName is a name for what is left of a bundle: a recorder that dies at each start
// leaves several of one name.
func freeName(dir, name string) (string, error) {
	const most = 1000
	for n := 1; n < most; n++ {
		free := name + truncatedExt
		if n > 1 {
			free = fmt.Sprintf("%s~%d%s", name, n, truncatedExt)
		}
		if _, err := os.Lstat(filepath.Join(dir, free)); errors.Is(err, os.ErrNotExist) {
			return free, nil
		}
	}
	return "", fmt.Errorf("name what is left of %s: %d files of that name are there: %w", name, most, os.ErrExist)
}

// syncDir makes a rename in dir durable.
func syncDir(dir string) error {
	if runtime.GOOS == "windows" { // has no such call
		return nil
	}
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer d.Close()
	return d.Sync()
}
