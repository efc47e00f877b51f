//go:build linux

package capture

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"runtime"
	"strconv"

	"golang.org/x/sys/unix"
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

// drops reads how many received packets each interface has dropped itself: column 4 of
// /proc/net/dev, rx_dropped and rx_missed_errors (net/core/net-procfs.c). Unlike netlink
// it waits for no lock, which a slow driver may hold for seconds.
func (n *namespace) drops() (map[string]uint64, error) {
	text, err := io.ReadAll(io.NewSectionReader(n.dev, 0, 1<<24))
	if err != nil {
		return nil, fmt.Errorf("read interface counters: %w", err)
	}
	return parseDrops(text), nil
}

// parseDrops reads the text of /proc/net/dev: two lines of heading, then one of each interface.
func parseDrops(text []byte) map[string]uint64 {
	drops := map[string]uint64{}
	for line := range bytes.Lines(text) {
		name, columns, ok := bytes.Cut(line, []byte(":"))
		fields := bytes.Fields(columns)
		if !ok || len(fields) < 4 {
			continue // the heading
		}
		if v, err := strconv.ParseUint(string(fields[3]), 10, 64); err == nil {
			drops[string(bytes.TrimSpace(name))] = v
		}
	}
	return drops
}
