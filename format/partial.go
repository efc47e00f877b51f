package format

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
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

// Sweep removes what dead writers left in dir and returns the names of the
// files, for the log. The file of a live writer is locked and stays.
func Sweep(dir string) ([]string, error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, fmt.Errorf("sweep bundle folder: %w", err)
	}
	var removed []string
	var errs []error
	for _, e := range entries {
		if ok, _ := filepath.Match(".*"+partialExt, e.Name()); !ok || !e.Type().IsRegular() {
			continue
		}
		gone, err := removeDead(filepath.Join(dir, e.Name()))
		// The others are removed all the same: each may be a gigabyte.
		if err != nil {
			errs = append(errs, fmt.Errorf("remove unfinished bundle: %w", err))
		}
		if gone {
			removed = append(removed, e.Name())
		}
	}
	return removed, errors.Join(errs...)
}

// removeDead removes the partial file unless a live writer holds it.
func removeDead(path string) (bool, error) {
	f, err := os.Open(path)
	if errors.Is(err, os.ErrNotExist) {
		return false, nil // committed or aborted meanwhile
	}
	if err != nil {
		return false, err
	}
	defer f.Close()
	if !tryLock(f) || !sameFile(f, path) {
		return false, nil
	}
	// While the lock is held, so that nobody starts to write to it in between.
	if runtime.GOOS == "windows" { // removes no open file
		f.Close()
	}
	if err := os.Remove(path); err != nil {
		return false, err
	}
	return true, nil
}

// publish gives the synced file f its final name. On Unix it is renamed while
// still open and locked, or a Sweep could remove it just before.
func publish(f file, final string) error {
	if _, err := os.Lstat(final); err == nil {
		return fmt.Errorf("rename to %s: %w", final, os.ErrExist)
	}
	if runtime.GOOS == "windows" {
		if err := f.Close(); err != nil {
			return err
		}
		return os.Rename(f.Name(), final)
	}
	if err := os.Rename(f.Name(), final); err != nil {
		return err
	}
	f.Close() // the content is synced: nothing is left that could fail
	return nil
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
