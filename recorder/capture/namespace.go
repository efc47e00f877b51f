//go:build linux

package capture

import (
	"errors"
	"fmt"
	"io"
	"os"
	"runtime"

	"golang.org/x/sys/unix"

	"github.com/spikebox/spikebox/format/kerneltext"
)

// namespace is the network namespace that a Set was opened in. Sockets stay where they
// were made, but threads do not: what is made or read later goes through here.
type namespace struct {
	ns  *os.File
	dev *os.File // /proc/net/dev of it
}

// openNamespace holds the calling thread's namespace.
func openNamespace() (*namespace, error) {
	ns, err := os.Open("/proc/thread-self/ns/net")
	if err != nil {
		return nil, fmt.Errorf("hold the network namespace: %w", err)
	}
	dev, err := os.Open("/proc/thread-self/net/dev")
	if err != nil {
		return nil, errors.Join(fmt.Errorf("read interface counters: %w", err), ns.Close())
	}
	return &namespace{ns, dev}, nil
}

// Close lets go of the namespace.
func (n *namespace) Close() error { return errors.Join(n.ns.Close(), n.dev.Close()) }

// do calls f in the namespace. That takes CAP_SYS_ADMIN only where the process has left
// it since.
func (n *namespace) do(f func() error) error {
	result := make(chan error)
	go func() {
		runtime.LockOSThread()
		here, err := n.current()
		if err == nil && !here {
			// Not unlocked: the thread ends with this goroutine, and the namespace with it.
			err = unix.Setns(int(n.ns.Fd()), unix.CLONE_NEWNET)
		}
		if err == nil {
			err = f()
		}
		if here {
			runtime.UnlockOSThread()
		}
		result <- err
	}()
	return <-result
}

// current says whether the calling thread is in the namespace.
func (n *namespace) current() (bool, error) {
	want, err := n.ns.Stat()
	if err != nil {
		return false, err
	}
	have, err := os.Stat("/proc/thread-self/ns/net")
	if err != nil {
		return false, err
	}
	return os.SameFile(want, have), nil
}

// drops reads how many received packets each interface has dropped itself. Unlike netlink
// /proc/net/dev waits for no lock, which a slow driver may hold for seconds.
func (n *namespace) drops() (map[string]uint64, error) {
	text, err := io.ReadAll(io.NewSectionReader(n.dev, 0, 1<<24))
	if err != nil {
		return nil, fmt.Errorf("read interface counters: %w", err)
	}
	drops := map[string]uint64{}
	err = kerneltext.ParseNetDev(text, func(d kerneltext.NetDevRow) { drops[string(d.Name)] = d.RxDropped })
	if err != nil {
		return nil, fmt.Errorf("parse interface counters: %w", err)
	}
	return drops, nil
}
