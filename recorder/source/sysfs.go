//go:build linux

package source

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/spikebox/spikebox/format/member"
	"github.com/spikebox/spikebox/recorder/internal/rtnl"
)

// classNet is where sysfs has a folder for each interface. Unlike /proc/net, which follows the
// process, it is that of the namespace in which sysfs was mounted (drivers/base/core.c,
// net/core/net-sysfs.c, net_current_may_mount): nsenter -n shows the host's.
const classNet = "sys/class/net"

const loopback = "lo"

// sysfsInterfaces are the folders below classNet that are this namespace's; nil takes all.
type sysfsInterfaces map[string]bool

// ownInterfaces compares what sysfs shows with what netlink tells. Every namespace has a
// loopback of the same index and address: it is taken for ours where another interface is, or
// where there is no other on either side. Below another root there is nothing to compare.
func ownInterfaces(root string) sysfsInterfaces {
	entries, err := os.ReadDir(filepath.Join(root, classNet))
	if filepath.Clean(root) != "/" || err != nil {
		return nil
	}
	ours := map[string]member.Link{}
	if err := rtnl.Links(func(l *member.Link) bool { ours[l.Name] = *l; return true }); err != nil {
		return sysfsInterfaces{}
	}
	own, shown := sysfsInterfaces{}, 0
	for _, e := range entries {
		if e.Type()&os.ModeSymlink == 0 {
			continue // bonding_masters
		}
		shown++
		l, known := ours[e.Name()]
		if known && e.Name() != loopback && is(filepath.Join(root, classNet, e.Name()), &l) {
			own[e.Name()] = true
		}
	}
	if len(own) > 0 || len(ours) <= 1 && shown <= 1 {
		own[loopback] = true
	}
	return own
}

// is says whether a folder of sysfs is that of an interface.
func is(dir string, l *member.Link) bool {
	read := func(name string) string {
		text, _ := os.ReadFile(filepath.Join(dir, name))
		return strings.TrimSpace(string(text))
	}
	return read("ifindex") == strconv.Itoa(int(l.Index)) && read("address") == l.Address
}

// strange says whether a path is of an interface that is not ours.
func (own sysfsInterfaces) strange(root, path string) bool {
	name, err := filepath.Rel(filepath.Join(root, classNet), path)
	if own == nil || err != nil || strings.HasPrefix(name, "..") {
		return false
	}
	name, _, _ = strings.Cut(name, "/")
	return !own[name]
}
