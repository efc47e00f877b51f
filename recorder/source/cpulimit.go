//go:build linux

package source

import (
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/spikebox/spikebox/format/member"
)

// cpuLimit gives the CPU limit that held a process back longest, by the text of its /proc/PID/cgroup: of its group and of
// those above it, as a pod limits its containers; nil where there is none, or its group is unseen from here.
func cpuLimit(root, cgroups string) (worst *member.CPULimit, unseen bool) {
	first := false // version 1 has the CPUs, also where both are mounted
	for line := range strings.Lines(cgroups) {
		// "4:cpu,cpuacct:/system.slice/nginx.service", "0::/system.slice/nginx.service" (cgroups(7))
		parts := strings.SplitN(strings.TrimSpace(line), ":", 3)
		if len(parts) < 3 {
			continue
		}
		folder, read := "sys/fs/cgroup", cpuLimit2
		switch {
		case slices.Contains(strings.Split(parts[1], ","), "cpu"):
			folder, read, first = filepath.Join(folder, parts[1]), cpuLimit1, true
		case parts[1] != "" || first:
			continue
		}
		if _, err := os.Stat(filepath.Join(root, folder, parts[2])); err != nil || strings.HasPrefix(parts[2], "/..") { // not below what this cgroup namespace shows
			unseen = true
			continue
		}
		// A namespace's root is some group below the machine's, which has no limit of its own.
		for group := filepath.Clean(parts[2]); group != "."; group = filepath.Dir(group) {
			l := &member.CPULimit{Group: group}
			if read(filepath.Join(root, folder, group), l) && (worst == nil || l.ThrottledUs > worst.ThrottledUs) {
				worst = l
			}
			if group == "/" {
				break
			}
		}
	}
	return worst, unseen
}

// cpuLimit2 reads cpu.max, "20000 100000", and cpu.stat of version 2.
func cpuLimit2(dir string, l *member.CPULimit) bool {
	text, _ := os.ReadFile(filepath.Join(dir, "cpu.max"))
	quota, period, _ := strings.Cut(strings.TrimSpace(string(text)), " ")
	return set(&l.QuotaUs, quota) && set(&l.PeriodUs, period) && throttled(dir, l, "throttled_usec", 1)
}

// cpuLimit1 reads the same of version 1, where no quota is -1, and times are in ns.
func cpuLimit1(dir string, l *member.CPULimit) bool {
	quota, _ := os.ReadFile(filepath.Join(dir, "cpu.cfs_quota_us"))
	period, _ := os.ReadFile(filepath.Join(dir, "cpu.cfs_period_us"))
	return set(&l.QuotaUs, string(quota)) && set(&l.PeriodUs, string(period)) && throttled(dir, l, "throttled_time", 1000)
}

// set takes a number, and says whether it is one: "max" is none.
func set(to *uint64, text string) bool {
	v, err := strconv.ParseUint(strings.TrimSpace(text), 10, 64)
	*to = v
	return err == nil
}

// throttled reads cpu.stat: "nr_periods 8", "nr_throttled 3" and a time in a part of a microsecond (kernel/sched/core.c,
// cpu_cfs_stat_show, cpu_extra_stat_show).
func throttled(dir string, l *member.CPULimit, time string, part uint64) bool {
	text, err := os.ReadFile(filepath.Join(dir, "cpu.stat"))
	for line := range strings.Lines(string(text)) {
		name, value, _ := strings.Cut(line, " ")
		switch name {
		case "nr_periods":
			set(&l.Periods, value)
		case "nr_throttled":
			set(&l.Throttled, value)
		case time:
			set(&l.ThrottledUs, value)
			l.ThrottledUs /= part
		}
	}
	return err == nil
}
