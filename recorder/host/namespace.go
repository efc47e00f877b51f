//go:build linux

package host

import (
	"fmt"
	"os"
	"runtime"

	"golang.org/x/sys/unix"

	"github.com/spikebox/spikebox/recorder/internal/thread"
)

// Namespace is a network namespace, held open. Sockets stay where they were made, but
// threads do not: what must be made in it later goes through Do.
type Namespace struct{ file *os.File }

// OpenNamespace holds the calling thread's namespace.
func OpenNamespace() (*Namespace, error) {
	file, err := os.Open("/proc/thread-self/ns/net")
	if err != nil {
		return nil, fmt.Errorf("hold the network namespace: %w", err)
	}
	return &Namespace{file}, nil
}

// Close lets go of the namespace.
func (n *Namespace) Close() error { return n.file.Close() }

// Do calls f in the namespace. That takes CAP_SYS_ADMIN only where the process has left
// it since.
func (n *Namespace) Do(f func() error) error {
	runtime.LockOSThread()
	here, err := n.current()
	if err != nil || here {
		defer runtime.UnlockOSThread()
		if err != nil {
			return err
		}
		return f()
	}
	runtime.UnlockOSThread()
	thread.Spend(func() {
		if err = unix.Setns(int(n.file.Fd()), unix.CLONE_NEWNET); err == nil {
			err = f()
		}
	})
	return err
}

// current says whether the calling thread is in the namespace.
func (n *Namespace) current() (bool, error) {
	want, err := n.file.Stat()
	if err != nil {
		return false, err
	}
	have, err := os.Stat("/proc/thread-self/ns/net")
	if err != nil {
		return false, err
	}
	return os.SameFile(want, have), nil
}
