//go:build linux

package vital

import (
	"fmt"
	"time"

	"github.com/spikebox/spikebox/format/kerneltext"
	"github.com/spikebox/spikebox/recorder/internal/procfs"
)

var conntrackMeter = &Meter{
	ID:  "conntrack",
	Doc: "the connection-tracking table: nf_conntrack_count and /proc/net/stat/nf_conntrack",
	Vitals: []Vital{
		{"conntrack.fill", "ratio", "entries, of nf_conntrack_max"},
		{"conntrack.drops", "1/s", "packets dropped and entries evicted or refused for want of room (insert_failed, drop, early_drop)"},
	},
	Variants: []Variant{{Name: "proc", Late: true, Open: openConntrack}},
}

type conntrackReader struct {
	count, limit, stat *procfs.File
	drops              rate
	most               float64   // entries
	due                time.Time // when that is to be read again
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
			return nil, absent(err, "connection tracking is not in this kernel (module nf_conntrack)")
		}
		*f.file = file
	}
	return r, nil
}

func (r *conntrackReader) Read(now time.Time, out []float64) error {
	entries, err := number(r.count)
	if err != nil {
		return err
	}
	if !now.Before(r.due) {
		if r.most, err = number(r.limit); err != nil {
			return err
		}
		r.due = now.Add(settingEvery)
	}
	if r.most > 0 { // 0 is no limit
		out[0] = entries / r.most
	}
	stat, err := r.stat.Read()
	if err != nil {
		return err
	}
	var sum uint64
	err = kerneltext.ParseCPUTable(stat, func(c kerneltext.CPUCell) {
		switch string(c.Name) {
		case "insert_failed", "drop", "early_drop":
			sum += uint64(c.Value)
		}
	})
	if err != nil {
		return fmt.Errorf("parse %s: %w", r.stat.Name(), err)
	}
	out[1] = r.drops.add(now, sum)
	return nil
}

// number reads a file below /proc/sys that holds one number.
func number(f *procfs.File) (v float64, err error) {
	text, err := f.Read()
	if err != nil {
		return 0, err
	}
	if err := kerneltext.ParseNumbers(text, &v); err != nil {
		return 0, fmt.Errorf("parse %s: %w", f.Name(), err)
	}
	return v, nil
}

func (r *conntrackReader) Close() error {
	for _, f := range []*procfs.File{r.count, r.limit, r.stat} {
		if f != nil {
			f.Close()
		}
	}
	return nil
}
