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

// cpuGroups are where control groups of CPU time are made, and how their limit is written:
// version 2, where the controller is handed down, and version 1.
var cpuGroups = []struct {
	root  string
	mark  string // a file that such a group has: with version 1 /sys/fs/cgroup is an ordinary folder
	limit func(dir string, run, of time.Duration) error
}{
	{"/sys/fs/cgroup", "cgroup.subtree_control", func(dir string, run, of time.Duration) error {
		return os.WriteFile(filepath.Join(dir, "cpu.max"), fmt.Appendf(nil, "%d %d", run.Microseconds(), of.Microseconds()), 0)
	}},
	{"/sys/fs/cgroup/cpu", "cpu.cfs_quota_us", func(dir string, run, of time.Duration) error {
		if err := os.WriteFile(filepath.Join(dir, "cpu.cfs_period_us"), fmt.Append(nil, of.Microseconds()), 0); err != nil {
			return err
		}
		return os.WriteFile(filepath.Join(dir, "cpu.cfs_quota_us"), fmt.Append(nil, run.Microseconds()), 0)
	}},
}

// Throttle lets a child run for so long in each period at most, as the limit of a container
// does (sched-bwc(7)). The group goes with the stage.
func (s *Stage) Throttle(c *Child, run, of time.Duration) {
	var last error
	pid := c.cmd.Process.Pid
	for _, kind := range cpuGroups {
		if _, last = os.Stat(filepath.Join(kind.root, kind.mark)); last != nil {
			continue
		}
		dir := filepath.Join(kind.root, fmt.Sprintf("spikebox-lab-%d", pid))
		if last = os.Mkdir(dir, 0o755); last != nil {
			continue
		}
		s.groups = append(s.groups, dir)
		if last = kind.limit(dir, run, of); last != nil {
			continue
		}
		if last = os.WriteFile(filepath.Join(dir, "cgroup.procs"), []byte(strconv.Itoa(pid)), 0); last == nil {
			return
		}
	}
	s.check(fmt.Errorf("limit the CPU time of %s: %w", c.name, last))
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
