//go:build linux

package source

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/spikebox/spikebox/format/member"
)

// The limit is that of the group that was held back longest, its own or one above, in either version.
func TestCPULimit(t *testing.T) {
	for name, c := range map[string]struct {
		cgroups string
		files   map[string]string // below sys/fs/cgroup
		want    *member.CPULimit
		unseen  bool
	}{
		"version 2, the pod above": {"0::/kubepods/pod1/web\n", map[string]string{
			"kubepods/pod1/web/cpu.max":  "200000 100000\n",
			"kubepods/pod1/web/cpu.stat": "usage_usec 9\nnr_periods 50\nnr_throttled 1\nthrottled_usec 700\n",
			"kubepods/pod1/cpu.max":      "50000 100000\n",
			"kubepods/pod1/cpu.stat":     "usage_usec 9\nnr_periods 60\nnr_throttled 30\nthrottled_usec 1900000\n",
			"kubepods/cpu.max":           "max 100000\n",
			"kubepods/cpu.stat":          "usage_usec 9\n",
		}, &member.CPULimit{Group: "/kubepods/pod1", QuotaUs: 50000, PeriodUs: 100000, Periods: 60, Throttled: 30, ThrottledUs: 1900000}, false},
		"version 1": {"5:memory:/shop\n4:cpu,cpuacct:/shop\n0::/\n", map[string]string{
			"cpu,cpuacct/shop/cpu.cfs_quota_us":  "2000\n",
			"cpu,cpuacct/shop/cpu.cfs_period_us": "100000\n",
			"cpu,cpuacct/shop/cpu.stat":          "nr_periods 8\nnr_throttled 3\nthrottled_time 42000000\n",
		}, &member.CPULimit{Group: "/shop", QuotaUs: 2000, PeriodUs: 100000, Periods: 8, Throttled: 3, ThrottledUs: 42000}, false},
		"without a limit": {"4:cpu:/shop\n", map[string]string{
			"cpu/shop/cpu.cfs_quota_us":  "-1\n",
			"cpu/shop/cpu.cfs_period_us": "100000\n",
			"cpu/shop/cpu.stat":          "nr_periods 0\nnr_throttled 0\nthrottled_time 0\n",
		}, nil, false},
		"the container's own, which is its root": {"0::/\n", map[string]string{
			"cpu.max":  "20000 100000\n",
			"cpu.stat": "usage_usec 9\nnr_periods 50\nnr_throttled 40\nthrottled_usec 700\n",
		}, &member.CPULimit{Group: "/", QuotaUs: 20000, PeriodUs: 100000, Periods: 50, Throttled: 40, ThrottledUs: 700}, false},
		"the machine's root":                {"0::/\n", map[string]string{"cpu.stat": "usage_usec 9\n"}, nil, false},
		"in a network namespace's own /sys": {"0::/shop\n", nil, nil, true},
		"version 1 beside an empty 2":       {"4:cpu:/shop\n0::/shop\n", map[string]string{"cpu/shop/cpu.cfs_quota_us": "-1\n"}, nil, false},
		"beside this cgroup namespace": {"0::/../web\n", map[string]string{
			"web/cpu.max":  "50000 100000\n",
			"web/cpu.stat": "nr_periods 60\nnr_throttled 30\nthrottled_usec 1900000\n",
		}, nil, true},
	} {
		root := t.TempDir()
		for path, text := range c.files {
			path = filepath.Join(root, "sys/fs/cgroup", path)
			if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		got, unseen := cpuLimit(root, c.cgroups)
		if diff := cmp.Diff(c.want, got); diff != "" || unseen != c.unseen {
			t.Errorf("%s: unseen is %v (-want +got):\n%s", name, unseen, diff)
		}
	}
}
