//go:build linux

package lab

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"time"
)

// control is where groups of a controller are made, and how their limit is written.
type control struct {
	root  string
	mark  string // a file that such a group has: with version 1 /sys/fs/cgroup is an ordinary folder
	limit func(dir string) error
}

// Throttle lets a child run for so long in each period at most, as the limit of a container
// does (sched-bwc(7)). The group goes with the stage.
func (s *Stage) Throttle(c *Child, run, of time.Duration) {
	s.confine(c, "CPU time", control{"/sys/fs/cgroup", "cgroup.subtree_control", func(dir string) error {
		return os.WriteFile(filepath.Join(dir, "cpu.max"), fmt.Appendf(nil, "%d %d", run.Microseconds(), of.Microseconds()), 0)
	}}, control{"/sys/fs/cgroup/cpu", "cpu.cfs_quota_us", func(dir string) error {
		if err := os.WriteFile(filepath.Join(dir, "cpu.cfs_period_us"), fmt.Append(nil, of.Microseconds()), 0); err != nil {
			return err
		}
		return os.WriteFile(filepath.Join(dir, "cpu.cfs_quota_us"), fmt.Append(nil, run.Microseconds()), 0)
	}})
}

// Cramp gives a child so much memory at most, as the limit of a container does, the pages of files that it
// reads from then on included. The group goes with the stage.
func (s *Stage) Cramp(c *Child, bytes int) {
	write := func(name string) func(string) error {
		return func(dir string) error { return os.WriteFile(filepath.Join(dir, name), fmt.Append(nil, bytes), 0) }
	}
	s.confine(c, "memory", control{"/sys/fs/cgroup", "cgroup.subtree_control", write("memory.max")},
		control{"/sys/fs/cgroup/memory", "memory.limit_in_bytes", write("memory.limit_in_bytes")})
}

// confine puts a child into a group of its own, of version 2, where the controller is handed down, or of version 1.
func (s *Stage) confine(c *Child, what string, kinds ...control) {
	var last error
	pid := c.cmd.Process.Pid
	for _, kind := range kinds {
		if _, last = os.Stat(filepath.Join(kind.root, kind.mark)); last != nil {
			continue
		}
		dir := filepath.Join(kind.root, fmt.Sprintf("spikebox-lab-%d", pid))
		if last = os.Mkdir(dir, 0o755); last != nil {
			continue
		}
		s.groups = append(s.groups, dir)
		if last = kind.limit(dir); last != nil {
			continue
		}
		if last = os.WriteFile(filepath.Join(dir, "cgroup.procs"), []byte(strconv.Itoa(pid)), 0); last == nil {
			return
		}
	}
	s.check(fmt.Errorf("limit the %s of %s: %w", what, c.name, last))
}

// release gives the throttled their CPU back. An error is nobody's: the group is gone, or it
// stays and limits a child that has ended.
func (s *Stage) release() {
	for _, dir := range s.groups {
		pids, _ := os.ReadFile(filepath.Join(dir, "cgroup.procs"))
		for pid := range bytes.Lines(pids) {
			_ = os.WriteFile(filepath.Join(filepath.Dir(dir), "cgroup.procs"), pid, 0)
		}
		_ = os.Remove(dir)
	}
	s.groups = nil
}
