package column

import (
	"strings"

	"github.com/spikebox/spikebox/format/kerneltext"
)

// meminfoText is /proc/meminfo.
var meminfoText = Text{
	Path: "proc/meminfo",
	Doc:  "memory: free, available, cached, slab",
	read: func(_ string, text []byte, r Row) error {
		return kerneltext.ParseNameValue(text, func(m kerneltext.NameValue) {
			if string(m.Unit) == "kB" {
				r.Put(Gauge, "B", m.Value*1024, "meminfo", string(m.Name))
			} else {
				r.Put(Gauge, "1", m.Value, "meminfo", string(m.Name))
			}
		})
	},
}

// vmstatText is /proc/vmstat.
var vmstatText = Text{
	Path: "proc/vmstat",
	Doc:  "paging, reclaim and compaction",
	read: func(_ string, text []byte, r Row) error {
		return kerneltext.ParseNameValue(text, func(m kerneltext.NameValue) {
			name, kind := string(m.Name), Counter
			if vmstatLevel(name) {
				kind = Gauge
			}
			r.Put(kind, "1", m.Value, "vmstat", name)
		})
	},
}

// vmstatLevel tells levels from counters: what begins with nr_ is a level, but for a few
// (mm/vmstat.c, vmstat_text; include/linux/mmzone.h, enum node_stat_item, Linux 6.18).
func vmstatLevel(name string) bool {
	switch name {
	case "nr_dirtied", "nr_written", "nr_throttled_written", "nr_vmscan_write", "nr_vmscan_immediate_reclaim",
		"nr_foll_pin_acquired", "nr_foll_pin_released":
		return false
	case "workingset_nodes":
		return true
	}
	return strings.HasPrefix(name, "nr_")
}
