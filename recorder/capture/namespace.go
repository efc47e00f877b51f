//go:build linux

package capture

import (
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/spikebox/spikebox/format/kerneltext"
	"github.com/spikebox/spikebox/recorder/host"
)

// namespace is the network namespace that a Set was opened in, and its counters.
type namespace struct {
	*host.Namespace
	dev *os.File // /proc/net/dev of it
}

// openNamespace holds the calling thread's namespace.
func openNamespace() (*namespace, error) {
	ns, err := host.OpenNamespace()
	if err != nil {
		return nil, err
	}
	dev, err := os.Open("/proc/thread-self/net/dev")
	if err != nil {
		return nil, errors.Join(fmt.Errorf("read interface counters: %w", err), ns.Close())
	}
	return &namespace{ns, dev}, nil
}

// Close lets go of the namespace.
func (n *namespace) Close() error { return errors.Join(n.Namespace.Close(), n.dev.Close()) }

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
