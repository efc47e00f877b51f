//go:build linux

package vital

import (
	"fmt"
	"time"

	"github.com/spikebox/spikebox/recorder/internal/procfs"
)

var conntrackMeter = &Meter{
	ID:  "conntrack",
	Doc: "the connection-tracking table: nf_conntrack_count and /proc/net/stat/nf_conntrack",
	Vitals: []Vital{
		{"conntrack.fill", "ratio", "entries, of nf_conntrack_max"},
		{"conntrack.drops", "1/s", "packets dropped and entries evicted or refused for want of room (insert_failed, drop, early_drop)"},
	},
	Variants: []Variant{{Name: "proc", Open: openConntrack}},
}

type conntrackReader struct {
	count, limit, stat *procfs.File
	drops              rate
}

func openConntrack(env Env) (Reader, error) {
	r := &conntrackReader{}
	for _, f := range []struct {
		file **procfs.File
		path string
	}{
		{&r.count, "proc/sys/net/netfilter/nf_conntrack_count"},
		{&r.limit, "proc/sys/net/netfilter/nf_conntrack_max"},
		{&r.stat, "proc/net/stat/nf_conntrack"},
	} {
		file, err := procfs.Open(env.Root, f.path)
		if err != nil {
			r.Close()
			return nil, fmt.Errorf("connection tracking is not in this kernel (module nf_conntrack): %w", err)
		}
		*f.file = file
	}
	return r, nil
}

func (r *conntrackReader) Read(now time.Time, out []float64) error {
	count, err := r.count.Read()
	if err != nil {
		return err
	}
	entries := procfs.Uint(trimmed(count))
	limit, err := r.limit.Read()
	if err != nil {
		return err
	}
	if most := procfs.Uint(trimmed(limit)); most > 0 { // 0 is no limit
		out[0] = float64(entries) / float64(most)
	}
	stat, err := r.stat.Read()
	if err != nil {
		return err
	}
	out[1] = r.drops.add(now, conntrackDrops(stat))
	return nil
}

func trimmed(text []byte) []byte {
	line, _ := procfs.Line(text)
	return line
}

// conntrackDrops sums insert_failed, drop and early_drop over CPUs. The kernel prints
// a line of names, then one of hexadecimal columns per CPU, with the same columns since
// 2.6 (net/netfilter/nf_conntrack_standalone.c, ct_cpu_seq_show): entries searched found
// new invalid ignore delete delete_list insert insert_failed drop early_drop …
func conntrackDrops(stat []byte) (sum uint64) {
	_, stat = procfs.Line(stat)
	for len(stat) > 0 {
		var line []byte
		line, stat = procfs.Line(stat)
		var c [12]uint64
		if columns(line, procfs.Hex, c[:]) == len(c) {
			sum += c[9] + c[10] + c[11]
		}
	}
	return sum
}

func (r *conntrackReader) Close() error {
	for _, f := range []*procfs.File{r.count, r.limit, r.stat} {
		if f != nil {
			f.Close()
		}
	}
	return nil
}
