//go:build unix

package format

import (
	"os"

	"golang.org/x/sys/unix"
)

// lock waits for the lock: only a Sweep can hold it, for a moment. On a file
// system without locks it has none, and Sweep then removes nothing.
func lock(f *os.File) {
	for unix.Flock(int(f.Fd()), unix.LOCK_EX) == unix.EINTR {
	}
}

// tryLock reports whether nobody else holds the lock, which the kernel drops
// when its process dies.
func tryLock(f *os.File) bool { return unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB) == nil }
