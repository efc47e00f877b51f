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
	}{
		"version 2, the pod above": {"0::/kubepods/pod1/web\n", map[string]string{
			"kubepods/pod1/web/cpu.max":  "200000 100000\n",
			"kubepods/pod1/web/cpu.stat": "usage_usec 9\nnr_periods 50\nnr_throttled 1\nthrottled_usec 700\n",
			"kubepods/pod1/cpu.max":      "50000 100000\n",
			"kubepods/pod1/cpu.stat":     "usage_usec 9\nnr_periods 60\nnr_throttled 30\nthrottled_usec 1900000\n",
			"kubepods/cpu.max":           "max 100000\n",
			"kubepods/cpu.stat":          "usage_usec 9\n",
		}, &member.CPULimit{Group: "/kubepods/pod1", QuotaUs: 50000, PeriodUs: 100000, Periods: 60, Throttled: 30, ThrottledUs: 1900000}},
		"version 1": {"5:memory:/shop\n4:cpu,cpuacct:/shop\n0::/\n", map[string]string{
			"cpu,cpuacct/shop/cpu.cfs_quota_us":  "2000\n",
			"cpu,cpuacct/shop/cpu.cfs_period_us": "100000\n",
			"cpu,cpuacct/shop/cpu.stat":          "nr_periods 8\nnr_throttled 3\nthrottled_time 42000000\n",
		}, &member.CPULimit{Group: "/shop", QuotaUs: 2000, PeriodUs: 100000, Periods: 8, Throttled: 3, ThrottledUs: 42000}},
		"without a limit": {"4:cpu:/shop\n", map[string]string{
			"cpu/shop/cpu.cfs_quota_us":  "-1\n",
			"cpu/shop/cpu.cfs_period_us": "100000\n",
			"cpu/shop/cpu.stat":          "nr_periods 0\nnr_throttled 0\nthrottled_time 0\n",
		}, nil},
		"beside this cgroup namespace": {"0::/../web\n", map[string]string{
			"web/cpu.max":  "50000 100000\n",
			"web/cpu.stat": "nr_periods 60\nnr_throttled 30\nthrottled_usec 1900000\n",
		}, nil},
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
		if diff := cmp.Diff(c.want, cpuLimit(root, c.cgroups)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
}
