//go:build linux

package capture

import (
	"bytes"
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/spikebox/spikebox/format/unit"
)

// Bounds of AutoBytes. With less than the least there is hardly a second of a busy host; the most are two
// minutes of 100,000 packets/s.
const (
	leastAuto = 16 << 20
	mostAuto  = 512 << 20
)

// AutoBytes is the memory of all rings together where nobody says: a hundredth of the machine's, from 16 MiB to
// 512 MiB, and no more than a quarter of the least limit of the memory cgroups that this process is in, since the kernel
// charges the maps of programs to these and the recorder needs the rest. It says, for people, how that came. The
// limit of locked memory (RLIMIT_MEMLOCK) bounds neither way: packet sockets' rings are not locked (af_packet.c,
// packet_mmap), and maps are charged to the cgroup instead since Linux 5.11, which is older than tcx.
func AutoBytes(root string) (n int, why string) {
	total := machineMemory()
	n, why = clamp(total), fmt.Sprintf("a hundredth of this host's %s", unit.Size(int64(min(total, math.MaxInt64))))
	switch n {
	case leastAuto:
		why = "the least, as " + why + " is less"
	case mostAuto:
		why = "the most, as " + why + " is more"
	}
	if limit := CgroupLimit(root); limit/4 < uint64(n) {
		return int(limit / 4), fmt.Sprintf("a quarter of this cgroup's %s", unit.Size(int64(limit)))
	}
	return n, why
}

func clamp(total uint64) int { return int(min(max(total/100, leastAuto), mostAuto)) }

// machineMemory is all of it, in bytes.
func machineMemory() uint64 {
	var info unix.Sysinfo_t
	if err := unix.Sysinfo(&info); err != nil {
		return math.MaxUint64
	}
	return uint64(info.Totalram) * uint64(info.Unit)
}

// CgroupLimit is the least limit of the memory cgroups of this process, from its own to the root's, in both
// versions (Documentation/admin-guide/cgroup-v2.rst, memory.max; cgroup-v1/memory.rst); MaxUint64 where there is none.
func CgroupLimit(root string) uint64 {
	limit := uint64(math.MaxUint64)
	text, err := os.ReadFile(filepath.Join(root, "proc/self/cgroup"))
	if err != nil {
		return limit
	}
	for line := range bytes.Lines(text) {
		parts := strings.SplitN(strings.TrimSpace(string(line)), ":", 3) // ID:controllers:path
		if len(parts) < 3 {
			continue
		}
		tree, file := "sys/fs/cgroup", "memory.max"
		switch {
		case strings.Contains(","+parts[1]+",", ",memory,"):
			tree, file = "sys/fs/cgroup/memory", "memory.limit_in_bytes"
		case parts[1] != "":
			continue
		}
		for path := filepath.Clean("/" + parts[2]); ; path = filepath.Dir(path) {
			text, err := os.ReadFile(filepath.Join(root, tree, path, file))
			if v, bad := strconv.ParseUint(strings.TrimSpace(string(text)), 10, 64); err == nil && bad == nil {
				limit = min(limit, v)
			}
			if path == "/" {
				break
			}
		}
	}
	return limit
}

// tooLarge says whether a ring takes more than half of the machine's memory. The kernel
// would try, and end other processes to find it.
func tooLarge(bytes int) bool { return uint64(bytes) > machineMemory()/2 }

// had opens a ring of so many bytes, or, where the kernel has no memory for it, of half as many, as long as that
// is a ring. One that no machine of this size can have is a mistake, and is refused.
func had[R any](bytes int, open func(bytes int) (R, error)) (r R, err error) {
	for {
		r, err = open(bytes)
		if !errors.Is(err, unix.ENOMEM) || tooLarge(bytes) || bytes/2 < minRing() {
			return r, err
		}
		bytes /= 2
	}
}

// lessThan says that a ring is smaller than was wanted, empty where it is not: it is made of whole blocks, so
// that a little is always missing.
func lessThan(wanted, got int) string {
	if got > wanted/2 {
		return ""
	}
	return fmt.Sprintf("%s instead of %s, as the kernel has no memory for more", unit.Size(int64(got)), unit.Size(int64(wanted)))
}
