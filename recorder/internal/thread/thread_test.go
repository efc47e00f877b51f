//go:build linux

package thread

import (
	"os"
	"runtime"
	"testing"

	"golang.org/x/sys/unix"
)

// called is what became of a call from the process's first thread, on which the runtime would go on as soon as the
// caller waits.
var called struct {
	from, on     int
	before, then string
}

func init() { runtime.LockOSThread() } // for TestMain to be on the first thread

func TestMain(m *testing.M) {
	runtime.UnlockOSThread()
	called.from = unix.Gettid()
	called.before, _ = os.Readlink("/proc/self/ns/net")
	Spend(func() {
		called.on = unix.Gettid()
		_ = unix.Unshare(unix.CLONE_NEWNET) // where that is allowed
	})
	called.then, _ = os.Readlink("/proc/self/ns/net")
	os.Exit(m.Run())
}

// The first thread stays where it was.
func TestSpendLeavesTheFirstThread(t *testing.T) {
	if c := called; c.from != unix.Getpid() || c.on == unix.Getpid() || c.then != c.before {
		t.Errorf("process %d: %+v", unix.Getpid(), c)
	}
}
