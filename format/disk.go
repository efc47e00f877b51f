package format

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
)

// Disk is what a Writer needs of a file system. OS is the real one; others count,
// bound or time what goes to it, and those of tests fail.
type Disk interface {
	// Create makes the temporary file of the bundle name in dir, of mode 0600 and locked
	// against Sweep. The error is os.ErrExist where that bundle is there, or being written.
	Create(dir, name string) (File, error)
	// Publish closes the synced file and gives it its final name, which is nobody else's.
	Publish(f File, final string) error
	// Discard closes and removes a file that was not published.
	Discard(f File) error
	// SyncDir makes a name in dir durable.
	SyncDir(dir string) error
}

// File is a bundle's file while it is written.
type File interface {
	io.WriteCloser
	Sync() error
	Name() string
}

// OS is the file system of the operating system.
var OS Disk = osDisk{}

type osDisk struct{}

func (osDisk) Create(dir, name string) (File, error) {
	if _, err := os.Lstat(filepath.Join(dir, name+Ext)); err == nil {
		return nil, os.ErrExist
	}
	f, err := createPartial(filepath.Join(dir, partialName(name)))
	if err != nil {
		return nil, err // and not a File that holds a nil pointer
	}
	return f, nil
}

// Publish renames on Unix while the file is still open and locked, or a Sweep could
// remove it just before.
func (osDisk) Publish(f File, final string) error {
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

func (osDisk) Discard(f File) error {
	// Removed while still locked, so that no Sweep finds it in between.
	err := os.Remove(f.Name())
	cerr := f.Close()
	if err != nil && cerr == nil { // Windows removes no open file
		err = os.Remove(f.Name())
	}
	if errors.Is(err, os.ErrNotExist) { // what was to be reached, by the folder's removal
		return nil
	}
	return err
}

func (osDisk) SyncDir(dir string) error { return syncDir(dir) }
