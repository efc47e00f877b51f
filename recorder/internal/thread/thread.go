//go:build linux

// Package thread changes what belongs to one thread: its network namespace, capabilities, priority.
package thread

import (
	"runtime"

	"golang.org/x/sys/unix"
)

// Spend calls f on a thread that ends with it, so that f may change whatever belongs to a thread, and waits for it. It
// is never the process's first: /proc/self, and with it /proc/net, is that one's, and the runtime cannot end it.
func Spend(f func()) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		runtime.LockOSThread()
		if unix.Gettid() == unix.Getpid() {
			Spend(f) // on another, as this one is held meanwhile
			runtime.UnlockOSThread()
			return
		}
		f()
	}()
	<-done
}
