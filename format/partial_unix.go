//go:build unix

package format

import (
	"os"

	"golang.org/x/sys/unix"
)

// lock waits for the lock: only a Sweep can hold it, for a moment.
func lock(f *os.File) error { return unix.Flock(int(f.Fd()), unix.LOCK_EX) }

// tryLock reports whether nobody else holds the lock, which the kernel drops
// when its process dies.
func tryLock(f *os.File) bool { return unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB) == nil }
