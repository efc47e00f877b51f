//go:build linux

package capture

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"

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
