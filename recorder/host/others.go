//go:build linux

package host

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/spikebox/spikebox/format/kerneltext"
)

// NetNSOf is a network namespace that is not the recorder's, with interfaces of its own: a container's, mostly.
// One with loopback alone, such as that of a service with PrivateNetwork=, has no traffic to miss.
type NetNSOf struct {
	Inode      string // net:[4026532008]
	PID        int    // a process in it, the first that was found
	Program    string // its name
	Interfaces []string
}

// OtherNetNS looks for such namespaces in the processes of a /proc. Those that no process is in, and those of
// processes that may not be looked at, are not seen.
func OtherNetNS(root string) (all []NetNSOf) {
	proc := filepath.Join(root, "proc")
	own, err := os.Readlink(filepath.Join(proc, "self/ns/net"))
	if err != nil {
		return nil
	}
	entries, err := os.ReadDir(proc)
	if err != nil {
		return nil
	}
	seen := map[string]bool{own: true}
	for _, e := range entries {
		pid, err := strconv.Atoi(e.Name())
		if err != nil {
			continue
		}
		inode, err := os.Readlink(filepath.Join(proc, e.Name(), "ns/net"))
		if err != nil || seen[inode] {
			continue
		}
		seen[inode] = true
		n := NetNSOf{Inode: inode, PID: pid}
		text, err := os.ReadFile(filepath.Join(proc, e.Name(), "net/dev"))
		if err != nil {
			continue
		}
		_ = kerneltext.ParseNetDev(text, func(row kerneltext.NetDevRow) {
			if name := string(row.Name); name != "lo" {
				n.Interfaces = append(n.Interfaces, name)
			}
		})
		if len(n.Interfaces) == 0 {
			continue
		}
		if comm, err := os.ReadFile(filepath.Join(proc, e.Name(), "comm")); err == nil {
			n.Program = strings.TrimSpace(string(comm))
		}
		all = append(all, n)
	}
	return all
}
