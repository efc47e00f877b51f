package format

import (
	"errors"
	"fmt"
	"os"
	"runtime"
	"testing"

	"golang.org/x/sys/unix"
)

// inTinyDisk runs f with a folder on a file system of its own of size KiB. The
// mount is in a namespace of one thread and goes with it.
func inTinyDisk(t *testing.T, size int, f func(dir string)) {
	t.Helper()
	dir := t.TempDir()
	result := make(chan error)
	go func() {
		defer close(result)    // also after a Fatal in f
		runtime.LockOSThread() // and never unlock: the thread ends with the goroutine
		err := unix.Unshare(unix.CLONE_NEWNS)
		if err == nil {
			err = unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, "")
		}
		if err == nil {
			err = unix.Mount("tmpfs", dir, "tmpfs", 0, fmt.Sprintf("size=%dk", size))
		}
		if err == nil {
			f(dir)
			err = unix.Unmount(dir, unix.MNT_DETACH)
		}
		result <- err
	}()
	if err := <-result; errors.Is(err, unix.EPERM) && os.Getenv("CI") != "true" {
		t.Skip("needs root: run make test as root")
	} else if err != nil {
		t.Fatal(err)
	}
}

// A real file system runs full at every page of a bundle.
func TestDiskFullForReal(t *testing.T) {
	items := append(smallItems(), item{name: "packets.pcapng", data: noise(40_000, 11)})
	size := len(bundleBytes(t, items))
	failed := 0
	for kib := 4; kib < size/1024+8; kib += 4 {
		inTinyDisk(t, kib, func(dir string) {
			w, err := Create(dir, testName, testTime)
			if err != nil {
				t.Error(err)
				return
			}
			if err = fill(w, items); err == nil {
				_, err = w.Commit()
			}
			if kib*1024 >= size {
				if err != nil {
					t.Errorf("%d KiB are enough for %d bytes: %v", kib, size, err)
				}
				return
			}
			if failed++; !errors.Is(err, unix.ENOSPC) {
				t.Errorf("disk of %d KiB: %v", kib, err)
			}
			if _, err := os.Stat(dir + "/" + testName + Ext); !os.IsNotExist(err) {
				t.Errorf("disk of %d KiB: a bundle is there: %v", kib, err)
			}
			wantNothing(t, w, dir)
		})
	}
	if failed == 0 {
		t.Error("no disk was too small")
	}
}
