//go:build linux

package capture

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/spikebox/spikebox/recorder/internal/testns"
)

// A recorder in a cgroup takes no more than a quarter of the least limit on the way to the root.
func TestAutoBytesKnowsCgroups(t *testing.T) {
	for name, c := range map[string]struct {
		files map[string]string
		want  int
		why   string
	}{
		"none":         {map[string]string{"proc/self/cgroup": "0::/a.slice/b.service\n", "sys/fs/cgroup/a.slice/b.service/memory.max": "max\n"}, clamp(machineMemory()), "host"},
		"its own":      {map[string]string{"proc/self/cgroup": "0::/a.slice/b.service\n", "sys/fs/cgroup/a.slice/b.service/memory.max": "33554432\n"}, 8 << 20, "a quarter of this cgroup's 32.0 MiB"},
		"its parent's": {map[string]string{"proc/self/cgroup": "0::/a.slice/b.service\n", "sys/fs/cgroup/a.slice/memory.max": "16777216\n", "sys/fs/cgroup/a.slice/b.service/memory.max": "33554432\n"}, 4 << 20, "a quarter of this cgroup's 16.0 MiB"},
		"wide":         {map[string]string{"proc/self/cgroup": "0::/\n", "sys/fs/cgroup/memory.max": "1099511627776\n"}, clamp(machineMemory()), "host"},
		"version 1":    {map[string]string{"proc/self/cgroup": "4:cpu:/x\n5:hugetlb,memory:/y\n", "sys/fs/cgroup/memory/y/memory.limit_in_bytes": "50331648\n", "sys/fs/cgroup/memory/x/memory.limit_in_bytes": "1\n"}, 12 << 20, "cgroup's 48.0 MiB"},
		"no proc":      {nil, clamp(machineMemory()), "host"},
	} {
		root := t.TempDir()
		for path, text := range c.files {
			path = filepath.Join(root, path)
			if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		if n, why := AutoBytes(root); n != c.want || !strings.Contains(why, c.why) {
			t.Errorf("%s: %d, %s; want %d, %s", name, n, why, c.want, c.why)
		}
	}
}

// Where the kernel has no memory the ring is smaller, and that is said.
func TestRingIsHadSmaller(t *testing.T) {
	for _, c := range []struct{ has, wanted, want int }{{100 << 20, 64 << 20, 64 << 20}, {20 << 20, 64 << 20, 16 << 20}, {minRing(), 64 << 20, minRing()}, {1, 64 << 20, 0}} {
		got, err := had(c.wanted, func(n int) (int, error) {
			if n > c.has {
				return 0, &OpenError{"allocate", "eth0", unix.ENOMEM}
			}
			return n, nil
		})
		if got != c.want || (err == nil) != (c.want > 0) {
			t.Errorf("of %d, where there are %d: %d, %v", c.wanted, c.has, got, err)
		}
		if text := lessThan(c.wanted, got); (text == "") != (c.has >= c.wanted) {
			t.Errorf("of %d, %d is %q", c.wanted, got, text)
		}
	}
	if _, err := had(1<<42, func(n int) (int, error) { return 0, unix.ENOMEM }); err == nil {
		t.Error("what no machine has is had")
	}
}

// A limit of locked memory bounds neither way, since neither locks any.
func TestLockedMemoryIsNoLimit(t *testing.T) { eachWay(t, testLockedMemoryIsNoLimit) }

func testLockedMemoryIsNoLimit(t *testing.T, way Way) {
	var old unix.Rlimit
	if err := unix.Prlimit(0, unix.RLIMIT_MEMLOCK, &unix.Rlimit{Max: 1 << 20}, &old); err != nil {
		t.Fatal(err)
	}
	defer unix.Prlimit(0, unix.RLIMIT_MEMLOCK, &old, nil)
	testns.Run(t, func() {
		if err := dropCapabilities(unix.CAP_IPC_LOCK, unix.CAP_SYS_RESOURCE); err != nil {
			t.Fatal(err)
		}
		s, err := OpenSet(SetConfig{Way: way, Interfaces: []string{"lo"}, Bytes: 8 << 20})
		if err != nil {
			t.Error(fmt.Errorf("with no memory that may be locked: %w", err))
			return
		}
		if st := s.Status()[0]; st.Less != "" || st.Way != way {
			t.Errorf("ring of %d bytes by %s: %s", st.RingBytes, st.Way, st.Less)
		}
		s.Close()
	})
}
